"""What the product is compared with: the least that could do a part of its work."""
