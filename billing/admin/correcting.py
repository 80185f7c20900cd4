"""Correcting one usage record by hand: what was counted wrong is taken back, and what is right is booked."""

from __future__ import annotations

from typing import Any, cast

from django import forms
from django.db import transaction
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from accounts.errors import InvalidRequest
from accounts.models import User
from billing import corrections, enforcement, money, pricing, turns
from billing.admin.reasons import ReasonField
from billing.models import UsageRecord
from billing.reconciliation import ours
from billing.turns import Turn

MOST = 2_000_000_000  # tokens; what the columns hold, and more than any call
CORRECT, TAKE_BACK = "correct", "take_back"


class CorrectionForm(forms.Form):
    """The right tokens of a call, or that nothing of it should have been charged; and why."""

    act = forms.ChoiceField(
        label=gettext_lazy("What to do"),
        choices=[
            (CORRECT, gettext_lazy("Book these tokens in place of what is booked")),
            (TAKE_BACK, gettext_lazy("Take the record back: nothing is charged for it")),
        ],
    )
    input_tokens = forms.IntegerField(label=gettext_lazy("Input tokens"), min_value=0, max_value=MOST)
    cached_input_tokens = forms.IntegerField(label=gettext_lazy("Cached input tokens"), min_value=0, max_value=MOST)
    cache_write_tokens = forms.IntegerField(label=gettext_lazy("Cache write tokens"), min_value=0, max_value=MOST)
    output_tokens = forms.IntegerField(label=gettext_lazy("Output tokens"), min_value=0, max_value=MOST)
    reasoning_tokens = forms.IntegerField(label=gettext_lazy("Reasoning tokens"), min_value=0, max_value=MOST)
    reason = ReasonField(
        help_text=gettext_lazy("Kept with the new record and in the trail: the ticket, the invoice's line, who asked.")
    )
    seen = forms.IntegerField(widget=forms.HiddenInput, required=False)  # what was booked when the page was opened

    def __init__(self, data: Any, *, record: UsageRecord) -> None:
        tokens = {name: getattr(record, name) for name in UsageRecord.TOKENS}
        super().__init__(data, initial={**tokens, "seen": ours.booked_for(record)})
        self.record = record
        if record.kind not in (UsageRecord.Kind.CALL, UsageRecord.Kind.REPLACEMENT):  # an amount: there is no call
            for name in UsageRecord.TOKENS:
                del self.fields[name]
            cast("forms.ChoiceField", self.fields["act"]).choices = [(TAKE_BACK, _("Take the record back"))]

    def clean(self) -> dict[str, Any]:
        """Parts are no more than their whole."""
        given: dict[str, Any] = super().clean() or {}
        if given.get("act") == CORRECT and not self.errors:
            if given["cached_input_tokens"] + given["cache_write_tokens"] > given["input_tokens"]:
                self.add_error("input_tokens", _("Cached and cache-write tokens are among these."))
            if given["reasoning_tokens"] > given["output_tokens"]:
                self.add_error("output_tokens", _("Reasoning tokens are among these."))
        return given

    def book(self, *, request: HttpRequest) -> str | None:
        """Book it; returns what was done, or None with the reason on the form where the domain refuses."""
        now, by = timezone.now(), cast("User", request.user)
        try:
            with transaction.atomic():
                enforcement.lock(users=[self.record.user])
                turns.take(Turn.CORRECTION, shared=True)  # so whoever is just booking a proposal is seen below
                self._check_seen()
                done = self._booked(by=by, now=now)
                enforcement.enforce_budgets(now=now, users=[self.record.user])
        except InvalidRequest as refusal:
            self.add_error(None, refusal.message)
            return None
        return done

    def _check_seen(self) -> None:
        """A difference of the day that was settled meanwhile may be the very one that is put right here."""
        booked = ours.booked_for(self.record)
        if booked != (self.cleaned_data["seen"] or 0):
            self.data = dict(self.data.items(), seen=booked)  # for whoever has looked, and sends it again
            raise corrections.NotCorrectable(
                _(
                    "Since you opened this page a correction from a comparison with the provider was booked for the day"
                    " of this call. Look whether it settles what you correct; if not, book again."
                )
            )

    def _booked(self, *, by: User, now: Any) -> str:
        record, given = self.record, self.cleaned_data
        if given["act"] == TAKE_BACK:
            taken = corrections.reverse(record=record, by=by, reason=given["reason"], now=now)
            return _("Usage record %(record)s is taken back by record %(by)s.") % {"record": record.pk, "by": taken.pk}
        tokens = pricing.Tokens(
            input=given["input_tokens"], cached_input=given["cached_input_tokens"],
            cache_write=given["cache_write_tokens"], output=given["output_tokens"], reasoning=given["reasoning_tokens"],
            extra=record.extra_tokens or {},
        )  # fmt: skip
        made = corrections.correct(
            record=record, tokens=tokens, by=by, reason=given["reason"], now=now, restore=True
        )[1]  # fmt: skip
        return _("Usage record %(record)s cost $%(before)s; record %(by)s now says $%(after)s.") % {
            "record": record.pk, "before": money.to_json(record.cost), "by": made.pk,
            "after": money.to_json(made.cost),
        }  # fmt: skip
