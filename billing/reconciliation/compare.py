"""Differences between the provider's figures and ours, each with a sentence and what would put it right."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import timedelta
from enum import StrEnum

from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_noop, ngettext

from billing import pricing
from billing.models import Price, UsageRecord
from billing.reconciliation import drafts, ours
from billing.reconciliation.drafts import Draft, calls, usd
from billing.reconciliation.figures import NOTHING, Group, Sums
from billing.reconciliation.matching import Matched

ROUNDING = 1_000  # nano-dollars by which a group's cost may be off, and one more a call: both sides round


class Kind(StrEnum):
    """What differs; a page translates it."""

    LACKING_HERE = gettext_noop("calls that we lack")
    LACKING_THERE = gettext_noop("calls that they lack")
    ESTIMATED = gettext_noop("estimates that the provider settles")
    TOKENS = gettext_noop("tokens")
    PRICE = gettext_noop("price")
    COST = gettext_noop("cost")


@dataclass(slots=True, kw_only=True)
class Difference:
    """One difference of a group, and drafts that together put it right."""

    kind: Kind
    group: Group
    theirs: Sums
    ours: Sums
    sentence: str
    drafts: list[Draft] = field(default_factory=list)


@dataclass(slots=True, kw_only=True)
class Comparison:
    """All differences, in the order of their days, and sentences about the comparison itself."""

    differences: list[Difference] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def compare(*, matched: Matched, usage: bool, costs: bool) -> Comparison:
    """Compare calls and tokens where `usage` was given, and money where `costs` were."""
    found = Comparison(notes=list(matched.notes))
    shifted = _around_midnight(matched, usage=usage)
    carried: dict[Group, int] = {}
    rounded = 0
    for group in matched.groups:
        delta = matched.delta(group)
        if group in shifted:
            found.notes.append(shifted[group])
        difference = _of_usage(matched, group) if usage and any(delta.usage) and group not in shifted else None
        if difference is not None:
            found.differences.append(difference)
        if not costs:
            continue
        following = group._replace(day=group.day + timedelta(days=1))
        proposed = sum(draft.figures.cost for draft in difference.drafts) if difference else 0
        rest = delta.cost - proposed + carried.pop(group, 0)
        if group in shifted and following in shifted and shifted[group] == shifted[following]:
            carried[following] = rest
            continue
        if abs(rest) <= _tolerance(matched, group):
            rounded += rest
            continue
        _of_money(matched, group, rest=rest, before=difference, usage=usage, found=found)
    if rounded:
        found.notes.append(_("Rounding on both sides makes %(amount)s in all.") % {"amount": usd(rounded)})
    return found


def _tolerance(matched: Matched, group: Group) -> int:
    return ROUNDING + max(matched.theirs.get(group, NOTHING).calls, matched.ours.get(group, NOTHING).calls)


def _around_midnight(matched: Matched, *, usage: bool) -> dict[Group, str]:
    """Pairs of days whose differences cancel: calls that began on one day and are counted on the next."""
    found: dict[Group, str] = {}
    for group in matched.groups:
        following = group._replace(day=group.day + timedelta(days=1))
        here, there = matched.delta(group), matched.delta(following)
        if group in found or following.day not in matched.spans:
            continue
        if usage:
            shifts = any(here.usage) and not any(here.plus(there).usage)
        else:
            off = _tolerance(matched, group) + _tolerance(matched, following)
            shifts = abs(here.cost) > off and abs(here.plus(there).cost) <= off
        if shifts:
            said = _(
                "%(group)s: what differs on %(day)s is the contrary of what differs on %(next)s: these are calls "
                "around midnight, UTC, which one side counts on the one day and the other on the next."
            )
            found[group] = found[following] = said % {
                "group": _of(group), "day": group.day, "next": following.day
            }  # fmt: skip
    return found


def _of_usage(matched: Matched, group: Group) -> Difference:
    theirs, here = matched.theirs.get(group, NOTHING), matched.ours.get(group, NOTHING)
    delta = theirs.minus(here)
    estimates = list(
        _records(matched, group).filter(measured=UsageRecord.Measured.ESTIMATED)[: drafts.MOST_RECORDS + 1]
    )
    said = f"{group.day}, {_of(group)}: "
    if delta.calls > 0:
        kind = Kind.LACKING_HERE
        said += _("the provider has %(calls)s that we lack%(tokens)s.") % {
            "calls": calls(delta.calls), "tokens": _tokens(delta)
        }  # fmt: skip
        made = _for_lacking_here(matched, group, delta)
    elif delta.calls < 0:
        kind = Kind.LACKING_THERE
        said += _("we have %(calls)s that the provider lacks%(tokens)s.") % {
            "calls": calls(-delta.calls), "tokens": _tokens(Sums(*(-value for value in delta)))
        }  # fmt: skip
        made = drafts.taken_back(
            records=lambda: _records(matched, group), estimates=estimates, delta=delta,
            nothing_there=not any(theirs.usage),
        )  # fmt: skip
    else:
        made = drafts.settled_estimates(records=estimates, delta=delta)
        kind = Kind.TOKENS if made is None else Kind.ESTIMATED
        said += _("%(calls)s on both sides, and the provider's tokens differ from ours%(tokens)s.") % {
            "calls": calls(theirs.calls), "tokens": _tokens(delta)
        }  # fmt: skip
    if estimates and kind != Kind.TOKENS:
        said += " " + ngettext(
            "Of our records there, %(count)d is estimated.", "Of our records there, %(count)d are estimated.",
            len(estimates),
        ) % {"count": len(estimates)}  # fmt: skip
    if made is None:
        made = _by_amount(matched, group, delta, what=_("the provider's figures of the day"))
    if not made:
        said += " " + _("Nothing can be proposed: there is no price for it here.")
    return Difference(kind=kind, group=group, theirs=theirs, ours=here, sentence=said, drafts=made)


def _for_lacking_here(matched: Matched, group: Group, delta: Sums) -> list[Draft] | None:
    free = _records(matched, group, state=UsageRecord.State.RELEASED)[: drafts.MOST_RECORDS + 1]
    return drafts.charged_after_all(records=list(free), delta=delta) or drafts.priced_adjustment(
        delta=delta, price=_price(matched, group)
    )


def _by_amount(matched: Matched, group: Group, delta: Sums, *, what: str) -> list[Draft]:
    """The tokens' worth at our price, signed; where the files have costs, what is off from them comes as its own."""
    price = _price(matched, group)
    amount = delta.cost
    if price is not None:
        amount = pricing.cost(tokens=drafts.as_tokens(delta), rates=price)
    elif not delta.cost:
        return []
    draft = drafts.by_amount(delta=delta, amount=amount, what=what)
    return [draft] if draft else []


def _of_money(
    matched: Matched, group: Group, *, rest: int, before: Difference | None, usage: bool, found: Comparison
) -> None:
    theirs, here = matched.theirs.get(group, NOTHING), matched.ours.get(group, NOTHING)
    said = f"{group.day}, {_of(group)}: "
    if not usage:
        kind = Kind.COST
        said += _(
            "the provider charges %(theirs)s, our records say %(ours)s. Whether calls or prices differ, only the usage "
            "file can tell."
        ) % {"theirs": usd(theirs.cost), "ours": usd(here.cost)}
    elif before is None:
        kind = Kind.PRICE
        said += _("for the same %(calls)s and tokens the provider charges %(theirs)s, our prices say %(ours)s.") % {
            "calls": calls(here.calls),
            "theirs": usd(theirs.cost),
            "ours": usd(here.cost),
        }
    else:
        kind = Kind.PRICE
        said += _("beside that, the provider charges %(amount)s more than our prices say.") % {"amount": usd(rest)}
    what = _("the provider's prices") if usage else _("the provider's costs of the day")
    draft = drafts.by_amount(delta=NOTHING, amount=rest, what=what)
    found.differences.append(
        Difference(kind=kind, group=group, theirs=theirs, ours=here, sentence=said, drafts=[draft] if draft else [])
    )


def _records(matched: Matched, group: Group, state: str = UsageRecord.State.SETTLED) -> QuerySet[UsageRecord]:
    models = None if matched.models is None else matched.models[group.model]
    keys = None if matched.keys is None else matched.keys[group.key]
    found = ours.current(span=matched.spans[group.day], models=models, keys=keys)
    return found.filter(state=state).select_related("price").order_by("pk")


def _price(matched: Matched, group: Group) -> Price | None:
    return Price.objects.in_force(model=group.model, at=matched.spans[group.day].start) if group.model else None


def _of(group: Group) -> str:
    key = ", " + _("key %(key)s") % {"key": group.key} if group.key else ""
    return f"{group.model or _('all models')}{key}"


def _tokens(delta: Sums) -> str:
    names: Iterable[str] = (_("input"), _("cached input"), _("cache-write"), _("output"))
    counts = zip(names, delta.usage[1:], strict=True)
    said = [f"{count:+,} {name}" if count < 0 else f"{count:,} {name}" for name, count in counts if count]
    return " " + _("(%(counts)s tokens)") % {"counts": ", ".join(said)} if said else ""
