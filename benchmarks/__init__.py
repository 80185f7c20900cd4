"""How fast the product is and what it costs, each figure beside a bare one from the same run: `make bench`."""
