"""The admin's pages about money, one module a subject."""

from billing.admin import accounts, budgets, exports, prices, reconciliations, records, spend, trail, users

__all__ = ["accounts", "budgets", "exports", "prices", "reconciliations", "records", "spend", "trail", "users"]
