"""How dates are written in each language; figures are written alike in all, see docs/decisions."""
