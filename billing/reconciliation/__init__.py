"""The provider's costs and usage against our records: what differs, and corrections that a person may book.

`reconcile` compares and changes nothing; `runs` keeps a comparison with its proposals, and books them.
"""

from billing.reconciliation.reconcile import COLUMNS, Result, reconcile
from billing.reconciliation.values import Unreadable

__all__ = ["COLUMNS", "Result", "Unreadable", "reconcile"]
