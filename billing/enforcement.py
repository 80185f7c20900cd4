"""Over budget → disabled; new period or raised limit → enabled. Staff have the last word.

The ledger refuses a call that does not fit, whatever is written here. A disabled account says so
before the person types, with the reason and the end of it. A budget may also take the sign-in away;
it gives back only what it took itself, and nothing while staff keep the account disabled.
"""

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from django.conf import settings
from django.db import connection, transaction
from django.db.models import FilteredRelation, Q, QuerySet
from django.db.models.functions import Coalesce
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop

from accounts import dates
from accounts.errors import Refusal
from accounts.models import User
from accounts.statements import Statement, columns, insert, loaded
from billing import acts, bounds, budgets, pricing
from billing.models import Account, Act, Budget, Price

# Kept as they stand here, and translated where they are shown.
REASONS = {
    Budget.Period.DAY: gettext_noop("The daily budget is used up."),
    Budget.Period.MONTH: gettext_noop("The monthly budget is used up."),
}


class AccountDisabled(Refusal):
    """The user may sign in and read, but not send."""

    code, status = "account_disabled", 403


@dataclass(frozen=True, slots=True, kw_only=True)
class State:
    """Whether a user may send; where not, by whom (`budget`, `staff`), why and until when."""

    disabled: bool
    by: str = Account.By.NOBODY
    reason: str = ""
    until: datetime | None = None

    @property
    def sentence(self) -> str:
        """What to tell the person; empty where they may send."""
        if not self.disabled:
            return ""
        end = _("It stays so until an administrator enables it.")
        if self.until is not None:
            at = dates.instant(self.until.astimezone(settings.BILLING_TIME_ZONE))
            end = _("It is enabled again at %(at)s.") % {"at": at}
        return _(
            "Your account can't send messages now. %(reason)s %(end)s You can still read everything. "
            "Questions go to %(administrator)s."
        ) % {"reason": self.reason, "end": end, "administrator": settings.ADMINISTRATOR_EMAIL}

    def refusal(self) -> AccountDisabled:
        """The error for a call that a disabled user asks for."""
        return AccountDisabled(
            self.sentence, reason=self.reason, until=None if self.until is None else self.until.isoformat()
        )


def locking(*, user: User) -> list[Statement]:
    """What locks the user's account row, to the end of the transaction, so that the sends of one user queue there.

    The row is made first where it is missing, so that no other lock is ever taken before it. The last one answers.
    """
    opening = insert(Account(user=user))
    lock = "FOR UPDATE" if connection.features.has_select_for_update else ""  # SQLite has one writer at a time anyway
    read = f"SELECT {columns(Account, 'account')} FROM billing_account AS account"  # noqa: S608
    return [
        Statement(f"{opening.sql} ON CONFLICT DO NOTHING", opening.params),
        Statement(f"{read} WHERE user_id = %s {lock}", [user.pk]),
    ]


def lock(*, users: Collection[User]) -> None:
    """Lock users' account rows, in key order, to the end of the transaction; makes those that are missing.

    For whoever changes budgets, or what is spent of them, and then asks `enforce_budgets`: a send locks its account
    before its budgets, and in the other order the two would wait for one another.
    """
    Account.objects.bulk_create(
        [Account(user=user) for user in sorted(users, key=lambda user: user.pk)], ignore_conflicts=True
    )
    list(Account.objects.select_for_update().filter(user__in=users).order_by("pk").values_list("pk"))


def check_account(row: Sequence[Any], *, user: User, now: datetime) -> None:
    """Raise AccountDisabled where the account that was locked is disabled; a state whose end has passed is ended."""
    account = loaded(Account, row)
    state = _state(account, now=now)
    if state.disabled:
        raise state.refusal()
    if account.disabled_by:
        Account.objects.filter(pk=user.pk).update(**_ENABLED)


def account_state(*, user: User, now: datetime) -> State:
    """How the account stands, without a lock, for pages that only show it."""
    account = Account.objects.filter(pk=user.pk).first()
    return State(disabled=False) if account is None else _state(account, now=now)


@transaction.atomic
def disable(
    *, users: Collection[User], by: str, reason: str, until: datetime | None, now: datetime, actor: User | None = None
) -> int:
    """Disable accounts until an instant, or until somebody enables them; returns how many.

    Staff override the budget, never the other way round. What an `actor` does is written in the trail.
    """
    _write_down(Act.Kind.DISABLE, users=users, actor=actor, reason=reason, now=now)
    lock(users=users)
    accounts = Account.objects.filter(user__in=users)
    if by != Account.By.STAFF:
        accounts = accounts.exclude(disabled_by=Account.By.STAFF)
    return accounts.update(disabled_by=by, disabled_at=now, disabled_until=until, reason=reason)


@transaction.atomic
def enable(*, users: Collection[User], now: datetime, actor: User | None = None, reason: str = "") -> int:
    """Enable accounts, whoever disabled them; returns how many may send now.

    One whose own budget has no room is disabled again at once: raise its limit instead. What an `actor`
    does is written in the trail.
    """
    _write_down(Act.Kind.ENABLE, users=users, actor=actor, reason=reason, now=now)
    lock(users=users)
    disabled = Account.objects.filter(user__in=users).disabled()
    changed = list(disabled.values_list("pk", flat=True))
    disabled.update(**_ENABLED)
    enforce_budgets(now=now, users=users)
    return Account.objects.filter(pk__in=changed, disabled_by=Account.By.NOBODY).count()


@transaction.atomic
def enforce_budgets(*, now: datetime, users: Collection[User] | None = None) -> tuple[int, int]:
    """Disable those whose own budget has no room for the smallest useful call, enable those who have room again.

    For some users, or for all. Returns how many were disabled and enabled. Never touches an account
    that staff disabled. The accounts that change are locked in key order, so two at once do what one does.
    """
    least = _smallest_call(now=now)
    exhausted = {
        period: _exhausted(period=period, least=least, now=now, users=users)
        for period in (Budget.Period.MONTH, Budget.Period.DAY)
    }
    _make_missing_accounts(exhausted.values())
    over_month, over_day = (Q(user__in=found.values("user")) for found in exhausted.values())
    day = budgets.spend_date(now)
    wanted = [  # the month ends later, so it goes before the day
        (over_month, Budget.Period.MONTH, budgets.period_end(period=Budget.Period.MONTH, day=day)),
        (over_day & ~over_month, Budget.Period.DAY, budgets.period_end(period=Budget.Period.DAY, day=day)),
    ]
    by_budget = Q(disabled_by=Account.By.BUDGET)
    out = _signed_out(exhausted.values())
    changing = by_budget & ~over_month & ~over_day | _TO_TAKE & out | Q(sign_in_taken=True) & ~out
    for over, period, until in wanted:
        changing |= over & ~Q(by_budget, disabled_until=until, reason=REASONS[period])
    accounts = Account.objects.exclude(disabled_by=Account.By.STAFF).filter(changing)
    if users is not None:
        accounts = accounts.filter(user__in=users)
    locked = Account.objects.filter(
        pk__in=list(accounts.select_for_update().order_by("pk").values_list("pk", flat=True))
    )
    disabled = 0
    for over, period, until in wanted:
        end = {"disabled_until": until, "reason": REASONS[period]}
        locked.filter(over, by_budget).update(**end)
        disabled += locked.filter(over, disabled_by=Account.By.NOBODY).update(
            disabled_by=Account.By.BUDGET, disabled_at=now, **end
        )
    _set_sign_in(locked.filter(out, _TO_TAKE), taken=True)
    _set_sign_in(locked.filter(~out, sign_in_taken=True), taken=False)
    return disabled, locked.filter(by_budget & ~over_month & ~over_day).update(**_ENABLED)


def keep_signed_out(*, user: User) -> None:
    """Staff have taken the sign-in away themselves: no budget gives it back."""
    Account.objects.filter(user=user).update(sign_in_taken=False)


_ENABLED = {"disabled_by": Account.By.NOBODY, "disabled_at": None, "disabled_until": None, "reason": ""}
# Whose sign-in a budget may take: who has it, is no staff (who else could raise a limit?), and was not
# given it back by hand since.
_TO_TAKE = Q(sign_in_taken=False, user__is_active=True, user__is_staff=False)


def _signed_out(exhausted: Iterable[QuerySet[Budget]]) -> Q:
    """Accounts of users with a budget that is used up and then takes the sign-in away."""
    month, day = (found.filter(at_limit=Budget.AtLimit.DEACTIVATE).values("user") for found in exhausted)
    return Q(user__in=month) | Q(user__in=day)


def _set_sign_in(accounts: QuerySet[Account], *, taken: bool) -> None:
    users = list(accounts.values_list("pk", flat=True))
    User.objects.filter(pk__in=users).update(is_active=not taken)
    Account.objects.filter(pk__in=users).update(sign_in_taken=taken)


def _write_down(kind: Act.Kind, *, users: Collection[User], actor: User | None, reason: str, now: datetime) -> None:
    if actor is not None:
        for user in users:
            acts.record(kind=kind, by=actor, now=now, subject=str(user), user=user, reason=reason)


def _state(account: Account, *, now: datetime) -> State:
    if not account.disabled_by or (account.disabled_until is not None and account.disabled_until <= now):
        return State(disabled=False)
    return State(
        disabled=True, by=account.disabled_by, reason=account.reason_shown,
        until=account.disabled_until,
    )  # fmt: skip


def _make_missing_accounts(exhausted: Iterable[QuerySet[Budget]]) -> None:
    missing = {pk for found in exhausted for pk in found.filter(user__account=None).values_list("user", flat=True)}
    accounts = [Account(user_id=pk) for pk in sorted(missing)]
    Account.objects.bulk_create(accounts, ignore_conflicts=True, batch_size=1000)


def _exhausted(*, period: Budget.Period, least: int, now: datetime, users: Collection[User] | None) -> QuerySet[Budget]:
    """Users' own budgets of a period in which less than `least` nano-dollars are not yet spent."""
    start = budgets.period_start(period=period, day=budgets.spend_date(now))
    default = budgets.default_limit(scope=Budget.Scope.USER, period=period)
    found = Budget.objects.filter(scope=Budget.Scope.USER, period=period)
    if users is not None:
        found = found.filter(user__in=users)
    return found.alias(
        running=FilteredRelation("periods", condition=Q(periods__start=start)),
        spent=Coalesce("running__spent", 0),
    ).filter(spent__gt=Coalesce("limit", default) - least)


def _smallest_call(*, now: datetime) -> int:
    """The least that a useful call can cost, in nano-dollars, over the models that the two tiers use."""
    output = min(bounds.USEFUL_OUTPUT_TOKENS, settings.CHAT_MAX_OUTPUT_TOKENS)
    prices = [Price.objects.in_force(model=model, at=now) for model in set(settings.CHAT_MODELS.values())]
    return min(
        (pricing.worst_case(input_tokens=1, output_tokens=output, rates=price) for price in prices if price),
        default=0,
    )
