"""FOCUS, the FinOps open cost and usage specification: one row per usage record and token class."""
