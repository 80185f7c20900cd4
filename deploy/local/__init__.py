"""One machine, one command: what `make run` starts beside the product itself."""
