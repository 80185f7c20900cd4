"""Both sides' figures under the same names of models and keys, as finely as both sides can tell them apart."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import date

from django.utils.translation import gettext as _

from billing import prices
from billing.reconciliation.figures import NOTHING, Group, Span, Sums
from billing.reconciliation.ours import Ours
from billing.reconciliation.statement import Statement

_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


@dataclass(slots=True, kw_only=True)
class Matched:
    """Figures by group. `models` and `keys` say how our records name a group's model and key; None: any will do."""

    spans: dict[date, Span]
    theirs: dict[Group, Sums] = field(default_factory=dict)
    ours: dict[Group, Sums] = field(default_factory=dict)
    models: dict[str, set[str]] | None = None
    keys: dict[str, set[str]] | None = None
    notes: list[str] = field(default_factory=list)

    @property
    def groups(self) -> list[Group]:
        """Every group that either side has, in order."""
        return sorted(self.theirs.keys() | self.ours.keys())

    def delta(self, group: Group) -> Sums:
        """What they have beyond what we have."""
        return self.theirs.get(group, NOTHING).minus(self.ours.get(group, NOTHING))


def match(*, statement: Statement, spans: dict[date, Span], ours: Ours, keys: Mapping[str, str]) -> Matched:
    """Put the sides beside each other; `keys` are our fingerprints by the provider's names of keys."""
    matched = Matched(spans=spans)
    by_model = statement.tells("model")
    if not by_model:
        matched.notes.append(_("The files do not say which models, so all models are compared as one."))
    naming = _naming_of_keys(statement, ours, keys, matched)
    raw = {
        group: sums
        for day in spans
        for group, sums in statement.sums(day, by_model=by_model, by_key=naming is not None).items()
    }
    canonical = _canonical(
        theirs={group.model for group in raw}, ours={group.model for group in ours.sums}, matched=matched
    )
    named = naming or {}
    matched.theirs = _renamed(
        raw, lambda group: group._replace(model=canonical[group.model], key=named.get(group.key, group.key))
    )

    def here(group: Group) -> Group:
        model = canonical[group.model] if by_model else ""
        return group._replace(model=model, key=group.key if naming is not None else "")

    matched.ours = _renamed(ours.sums, here)
    groups = [*matched.theirs, *matched.ours]
    if by_model:
        matched.models = {group.model: {group.model} for group in groups}
    if naming is not None:
        matched.keys = {group.key: {group.key} for group in groups}
    for group in ours.sums:
        renamed = here(group)
        if matched.models is not None:
            matched.models.setdefault(renamed.model, set()).add(group.model)
        if matched.keys is not None:
            matched.keys.setdefault(renamed.key, set()).add(group.key)
    return matched


def _renamed(sums: Mapping[Group, Sums], rename: Callable[[Group], Group]) -> dict[Group, Sums]:
    found: dict[Group, Sums] = {}
    for group, figures in sums.items():
        name = rename(group)
        found[name] = found.get(name, NOTHING).plus(figures)
    return {group: figures for group, figures in found.items() if any(figures)}


def _canonical(*, theirs: Iterable[str], ours: Iterable[str], matched: Matched) -> dict[str, str]:
    """The models that names mean. A dated name that we don't know is the undated one, where we used that."""
    here = set(ours)
    found = prices.resolve(models={*theirs, *here})
    known = {found[name] for name in here}
    for name in sorted(set(theirs) - here):
        undated = _DATED.sub("", name)
        if found[name] == name != undated and undated in known:
            found[name] = undated
            matched.notes.append(
                _("%(name)s is no alias that we know; it is taken for %(model)s.") % {"name": name, "model": undated}
            )
    return found


def _naming_of_keys(
    statement: Statement, ours: Ours, given: Mapping[str, str], matched: Matched
) -> Mapping[str, str] | None:
    """Our fingerprints by the provider's names; None where keys can't be told apart on both sides."""
    if not statement.tells("key"):
        if len({group.key for group in ours.sums}) > 1:
            matched.notes.append(_("The files do not say which keys, so all keys are compared as one."))
        return None
    names = {
        entry.key for days in statement.lines.values() for lines in days.values() for entry in lines if entry.key
    } - given.keys()
    prints = {group.key for group in ours.sums if group.key} - set(given.values())
    if not names or not prints:
        return given
    if len(names) == len(prints) == 1:
        name, fingerprint = names.pop(), prints.pop()
        matched.notes.append(
            _("The provider's key %(name)s is taken for ours, %(fingerprint)s: there is one on each side.")
            % {"name": name, "fingerprint": fingerprint}
        )
        return {**given, name: fingerprint}
    matched.notes.append(
        _(
            "Nobody has said which of the provider's keys (%(names)s) are which of ours (%(ours)s), so all keys are "
            "compared as one."
        )
        % {"names": ", ".join(sorted(names)[:5]), "ours": ", ".join(sorted(prints)[:5])}
    )
    return None
