"""What is spent: prices, budgets and their periods, usage records, daily spend, account state, and who did what.

Money is an integer of nano-dollars (10⁻⁹ $); prices are nano-dollars per million tokens.
"""

from billing.models.accounts import Account, AccountQuerySet
from billing.models.acts import Act
from billing.models.budgets import Budget, BudgetPeriod
from billing.models.closings import MonthClosing
from billing.models.exports import ExportRun
from billing.models.notices import Notice
from billing.models.prices import ModelAlias, Price, PriceQuerySet
from billing.models.reconciliations import Proposal, Reconciliation
from billing.models.records import Hold, UsageRecord
from billing.models.spend import DailySpend, DailyTotal, MonthlySpend, UncountedRecord

__all__ = [
    "Account",
    "AccountQuerySet",
    "Act",
    "Budget",
    "BudgetPeriod",
    "DailySpend",
    "DailyTotal",
    "ExportRun",
    "Hold",
    "ModelAlias",
    "MonthClosing",
    "MonthlySpend",
    "Notice",
    "Price",
    "PriceQuerySet",
    "Proposal",
    "Reconciliation",
    "UncountedRecord",
    "UsageRecord",
]
