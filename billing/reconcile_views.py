"""The pages of reconciliation: give the provider's files, see what differs, book what is proposed."""

from __future__ import annotations

import csv
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, cast

from django import forms
from django.conf import settings
from django.contrib import messages
from django.http import Http404, HttpRequest, HttpResponse, JsonResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.utils import timezone
from django.utils.translation import gettext, gettext_lazy
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST, require_safe

from accounts.errors import InvalidRequest
from accounts.models import User
from accounts.requests import UNSTORABLE
from billing import budgets, money
from billing.exports.safe import safe
from billing.models import Reconciliation
from billing.reconciliation import COLUMNS, runs
from billing.reconciliation.buckets import COSTS, USAGE
from billing.reconciliation.compare import Kind
from billing.report_views import finance_only

RUNS_SHOWN = 20
DIFFERENCES_SHOWN = 300
MOST_FILES = 40
COUNTS = ("calls", "input_tokens", "cached_input_tokens", "output_tokens")


class _Files(forms.ClearableFileInput):
    allow_multiple_selected = True


class _Day(forms.DateInput):
    """A browser's own field for a day, which takes one form in every language."""

    input_type = "date"

    def __init__(self) -> None:
        super().__init__(format="%Y-%m-%d", attrs={"class": "in"})


class CompareForm(forms.Form):
    """Which days, and which key of the provider's is which of ours."""

    first = forms.DateField(label=gettext_lazy("From"), widget=_Day())
    last = forms.DateField(label=gettext_lazy("To"), widget=_Day())
    keys = forms.CharField(
        required=False,
        max_length=5000,
        widget=forms.Textarea(attrs={"class": "in", "rows": 2, "placeholder": "key_abc = 1a2b3c4d5e6f"}),
    )

    def clean_keys(self) -> dict[str, str]:
        """Our fingerprints by the provider's names."""
        pairs = [line.partition("=") for line in self.cleaned_data["keys"].splitlines() if line.strip()]
        if not all(name.strip() and fingerprint.strip() for name, _, fingerprint in pairs):
            raise forms.ValidationError(gettext("One key a line: the provider's name of it = our fingerprint."))
        return {name.strip(): fingerprint.strip() for name, _, fingerprint in pairs}


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
@finance_only
def begin(request: HttpRequest) -> HttpResponse:
    """Compare files with our records, or see what was compared so far."""
    error = ""
    form = CompareForm(request.POST or None, initial=_suggested())
    if request.method == "POST" and form.is_valid():
        given = cast("list[Any]", request.FILES.getlist("files"))
        try:
            if not 0 < len(given) <= MOST_FILES:
                raise InvalidRequest(gettext("Give one file, or up to %(most)d.") % {"most": MOST_FILES})
            kept = runs.run(
                files=[(file.name or "file", file.read()) for file in given],
                first=form.cleaned_data["first"],
                last=form.cleaned_data["last"],
                keys=form.cleaned_data["keys"],
                by=cast("User", request.user),
                clock=timezone.now,
            )
        except InvalidRequest as refusal:
            error = refusal.message
        else:
            return redirect("reconciliation", pk=kept.pk)
    context = {
        "form": form,
        "error": error,
        "limit": settings.UPLOAD_LIMITS.get(request.path, settings.DATA_UPLOAD_MAX_MEMORY_SIZE),
        "runs": runs.newest(RUNS_SHOWN),
        "reads_reports": True,
    }
    return render(request, "billing/reconcile.html", context, status=400 if error or form.errors else 200)


@never_cache
@require_safe
@finance_only
def show(request: HttpRequest, pk: int) -> HttpResponse:
    """What differed, and what may be booked."""
    run = get_object_or_404(Reconciliation, pk=pk)
    proposals, differences = run.proposed(below=DIFFERENCES_SHOWN), run.report["differences"]
    context = {
        "run": run,
        "found": [
            (row, _sides(row, run.report.get("given")), proposals.get(place, []))
            for place, row in enumerate(differences[:DIFFERENCES_SHOWN])
        ],
        "more": max(0, len(differences) - DIFFERENCES_SHOWN),
        "open": run.open().count(),
        "booked": run.booked().count(),
        "reads_reports": True,
    }
    return render(request, "billing/reconciliation.html", context)


def _sides(row: dict[str, Any], given: list[str] | None) -> list[tuple[str, list[int | None], int | None]]:
    """Whose figures, counts and nano-dollars; None for what the files do not say, which is not the same as nothing.

    `given`: what the files were of. Older reports do not say it; theirs are without usage whose difference is a cost.
    """
    usage = row.get("kind") != Kind.COST if given is None else USAGE in given
    costs = given is None or COSTS in given
    theirs = [row.get(f"theirs_{name}") if usage else None for name in COUNTS]
    ours = [row.get(f"ours_{name}") for name in COUNTS]
    return [
        (gettext("Provider"), theirs, _nano(row, "theirs") if costs else None),
        (gettext("Our records"), ours, _nano(row, "ours")),
    ]


def _nano(row: dict[str, Any], side: str) -> int | None:
    dollars = row.get(f"{side}_cost_usd")
    return None if dollars is None else money.to_nano(Decimal(dollars))


@require_POST
@finance_only
def book(request: HttpRequest, pk: int) -> HttpResponse:
    """Book the proposals that were ticked, or all that are open, in the name of who does it."""
    run = get_object_or_404(Reconciliation, pk=pk)
    ticked = {int(text) for text in request.POST.getlist("proposal") if text.isdecimal() and len(text) < 19}
    if "all" in request.POST:
        ticked = set(run.open().values_list("pk", flat=True))
    try:
        if not ticked:
            raise InvalidRequest(gettext("Tick what is to be booked."))
        done = runs.book(
            reconciliation=run, proposals=ticked, by=cast("User", request.user), now=timezone.now(),
            reason=UNSTORABLE.sub("", request.POST.get("reason", "")),
        )  # fmt: skip
    except InvalidRequest as refusal:
        messages.warning(request, refusal.message)
    else:
        messages.success(request, gettext("Booked: %(count)d.") % {"count": done.count})
        for sentence in done.refused[:10]:
            messages.warning(request, sentence)
    return redirect("reconciliation", pk=run.pk)


@never_cache
@require_safe
@finance_only
def report(request: HttpRequest, pk: int, form: str) -> HttpResponse:
    """The differences as JSON or CSV."""
    run = get_object_or_404(Reconciliation, pk=pk)
    name = f"reconciliation-{run.first}-{run.last}.{form}"
    if form == "json":
        response: HttpResponse = JsonResponse({"files": run.files, **run.report}, json_dumps_params={"indent": 1})
    elif form == "csv":
        response = HttpResponse(content_type="text/csv; charset=utf-8")
        _write(run.report["differences"], response)
    else:
        raise Http404
    response.headers["Content-Disposition"] = f'attachment; filename="{name}"'
    return response


def _write(rows: list[dict[str, Any]], response: HttpResponse) -> None:
    writer = csv.writer(response)
    writer.writerow(COLUMNS)
    for row in rows:
        cells = (" ".join(row[name]) if isinstance(row[name], list) else row[name] for name in COLUMNS)
        writer.writerow([safe(cell) if isinstance(cell, str) and not _is_number(cell) else cell for cell in cells])


def _is_number(text: str) -> bool:
    return text.lstrip("-").replace(".", "", 1).isdecimal()


def _suggested() -> dict[str, Any]:
    """The month before this one, and the keys that were named last."""
    last: date = budgets.spend_date(timezone.now()).replace(day=1) - timedelta(days=1)
    named = {name: fingerprint for run in runs.newest(1) for name, fingerprint in run.keys.items()}
    keys = "\n".join(f"{name} = {fingerprint}" for name, fingerprint in named.items())
    return {"first": last.replace(day=1), "last": last, "keys": keys}
