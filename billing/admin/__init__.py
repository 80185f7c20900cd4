"""The admin's pages about money, one module a subject."""

from billing.admin import accounts, budgets, prices, records, users

__all__ = ["accounts", "budgets", "prices", "records", "users"]
