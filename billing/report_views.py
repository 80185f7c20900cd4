"""The pages of finance: the report, its downloads, and the exports made in the background."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import date, timedelta
from functools import wraps
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.conf import settings
from django.contrib import messages
from django.contrib.auth.decorators import login_required
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET, require_POST, require_safe

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from billing import against, budgets, chart, closing, downloads, exports, people, reports, rows, runs
from billing.access import may_read_reports
from billing.api.reports import run_file
from billing.models import ExportRun
from billing.selection import FILTERS, MOST_CHARACTERS, Selection
from billing.tasks import ask_for_exports
from billing.totals import GROUPINGS
from billing.usage import feature_name, last_of_month

RUNS_SHOWN = 20
PEOPLE_SHOWN, SUGGESTED = 20, 8
MONTHS_SHOWN = 12
View = Callable[..., HttpResponseBase]
PART_NAMES = {
    "calls": _("Calls"),
    "corrections": _("Corrections of calls"),
    "adjustments": _("Adjustments"),
    "credits": _("Credits"),
    "write_offs": _("Written off"),
}

# What a report can be narrowed down by, as its page says it.
FILTER_NAMES = {"user": _("user"), "group": _("group"), "model": _("model"), "feature": _("feature"), "key": _("key")}
GROUPING_NAMES = {**FILTER_NAMES, "day": _("day")}
ERROR_NAMES = {**GROUPING_NAMES, "from": _("from"), "to": _("to"), "group_by": _("group by"), "page": _("page")}


def finance_only(view: View) -> View:
    """Signed in and allowed to read reports; for others there is no such page."""

    @wraps(view)
    def checked(request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        if not may_read_reports(request.user):
            raise Http404
        return view(request, *args, **kwargs)

    return cast("View", login_required(checked))


def _selection(request: HttpRequest, today: date) -> Selection:
    query = {name: text.strip() for name, text in request.GET.dict().items()}
    return Selection.of_query(query, first=today.replace(day=1), last=last_of_month(today))


@never_cache
@require_safe
@finance_only
def report(request: HttpRequest) -> HttpResponse:
    """Spend of some days by something: figures, budgets, chart, table, downloads, past runs."""
    today = budgets.spend_date(timezone.now())
    words = _words(request, "who")
    named = people.called(words, most=PEOPLE_SHOWN + 1)
    errors: dict[str, list[str]] = {}
    group_by, page = request.GET.get("group_by") or "model", request.GET.get("page") or "1"
    try:
        selection = _selection(request, today)
        if words:
            selection = replace(selection, user=named[0].pk if len(named) == 1 else None)
        number = int(page) if page.isdecimal() and len(page) < 10 else 0
        found = reports.report(selection=selection, group_by=group_by, page=number)
    except InvalidRequest as refusal:
        errors = refusal.details.get("fields", {})
        selection, group_by = Selection(first=today.replace(day=1), last=last_of_month(today)), "model"
        found = reports.report(selection=selection, group_by=group_by)
    with timezone.override(settings.BILLING_TIME_ZONE):
        context = {
            **_figures(selection, found),
            **_links(selection, found),
            **_people(selection, found, words, named),
            "errors": {ERROR_NAMES.get(name, name): reasons for name, reasons in errors.items()},
            "wrong": errors,
        }
        wrong = errors or (words and not named)
        return render(request, "billing/reports.html", context, status=400 if wrong else 200)


@never_cache
@require_safe
@finance_only
def people_called(request: HttpRequest) -> HttpResponse:
    """Whom the words typed so far could mean, for the report's form."""
    found = people.called(_words(request, "q"), most=SUGGESTED)
    return JsonResponse({"results": [{"email": user.email, "name": user.name} for user in found]})


def _words(request: HttpRequest, name: str) -> str:
    return request.GET.get(name, "").strip()[:MOST_CHARACTERS]


def _figures(selection: Selection, found: reports.Report) -> dict[str, Any]:
    series = "model" if found.group_by == "day" else found.group_by
    found_already = [line.value for line in found.lines] if series == found.group_by and found.page == 1 else None
    days = reports.by_day(selection=selection, group_by=series, most=chart.SERIES, dearest=found_already)
    dates = [selection.first + timedelta(days=offset) for offset in range((selection.last - selection.first).days + 1)]
    nothing = [0] * len(days.names)
    by_day = [(day, days.costs.get(day, nothing)) for day in dates]
    drawn = chart.draw(days=by_day, names=days.names, other=days.other)
    before = reports.cost(selection.before)
    estimated = reports.estimated(selection)
    recent = list(runs.recent()[:RUNS_SHOWN])
    return {
        "report": found,
        "series": GROUPING_NAMES[series],
        "grouped": GROUPING_NAMES[found.group_by],
        "chart": drawn,
        "bars": [(bar.name, bar.costs, bar.total) for bar in drawn.bars if bar.total or any(bar.costs)],
        "put_right": sum(part.total.cost for part in found.parts[1:]),
        "estimated": _percent(estimated / found.total.calls) if found.total.calls > 0 else gettext("none"),
        "before": selection.before.label,
        "change": f"{(found.total.cost - before) / before:+.1%}" if before > 0 else gettext("nothing then"),
        "parts": [(PART_NAMES[part.kind], part) for part in found.parts],
        "corrected": len(found.parts) > 1,
        "closing": reports.closing(selection),
        "months": closing.months(now=timezone.now(), most=MONTHS_SHOWN),
        "small": rows.at_most(selection, runs.SMALL),
        "small_limit": runs.SMALL,
        "runs": [shown(run) for run in recent],
        "unfinished": any(run.ended_at is None for run in recent),
    }


def _people(selection: Selection, found: reports.Report, words: str, named: list[User]) -> dict[str, Any]:
    """Whom the report is about, and whom the words typed into its form could mean, where that is not one person."""
    if selection.user is not None:
        named = list(User.objects.filter(pk=selection.user).only("name", "email"))
        return {"who": named[0].email if named else "", "person": people.said(named[0]) if named else selection.user}
    query = {**selection.as_query(), "group_by": found.group_by}
    meant = [(people.said(user), urlencode({**query, "user": user.pk})) for user in named[:PEOPLE_SHOWN]]
    return {"who": words, "meant": meant, "more_meant": len(named) > PEOPLE_SHOWN, "nobody": words and not named}


def _links(selection: Selection, found: reports.Report) -> dict[str, Any]:
    """What the page's form and links say."""
    query = {**selection.as_query(), "group_by": found.group_by}
    used = against.of_users(selection, [line.value for line in found.lines]) if found.group_by == "user" else {}
    choices = reports.choices(selection)
    return {
        "selection": selection,
        "query": urlencode(query),
        "groupings": list(GROUPINGS),
        "choices": choices,
        "features": [(feature, feature_name(feature)) for feature in choices["feature"]],
        "formats": [(name, form.LABEL) for name, form in exports.FORMATS.items()],
        "without_user": urlencode({name: value for name, value in query.items() if name != "user"}),
        "without_key": urlencode({name: value for name, value in query.items() if name != "key"}),
        "lines": [
            (line, _narrower(query, found.group_by, line), _percent(line.share), used.get(line.value))
            for line in found.lines
        ],
        "budgeted": bool(used),
        "against": against.against(selection),
        "earlier": urlencode({**query, "page": found.page - 1}) if found.page > 1 else "",
        "later": urlencode({**query, "page": found.page + 1}) if found.more else "",
        "from_line": (found.page - 1) * reports.PAGE + 1,
        "to_line": (found.page - 1) * reports.PAGE + len(found.lines),
        "reads_reports": True,
    }


def _narrower(query: dict[str, str], group_by: str, line: reports.Line) -> str:
    """The address of a line's own report: of a day by model, of anything else by day; none for what has no name."""
    if group_by == "day":
        day = line.value.isoformat()
        return urlencode({**query, "from": day, "to": day, "group_by": "model"})
    return urlencode({**query, group_by: line.value, "group_by": "day"}) if line.value not in ("", None) else ""


def _percent(share: float | None) -> str:
    return "" if share is None else f"{share:.2%}"


def shown(run: ExportRun) -> dict[str, Any]:
    """A run with what the page says of it."""
    selection = runs.selection_of(run)
    filters = {name: feature_name(value) if name == "feature" else value for name, value in selection.filters.items()}
    narrowed = [f"{FILTER_NAMES[name]} {value}" for name, value in filters.items() if name in FILTERS]
    return {
        "run": run,
        "label": runs.format_of(run).LABEL,
        "days": selection.label,
        "narrowed": ", ".join(narrowed),
        "again": urlencode({**selection.as_query(), "format": run.format, "focus_version": run.focus_version}),
        "short": f"{run.sha256[:6]}…{run.sha256[-4:]}" if run.sha256 else "",
    }


@require_GET  # not HEAD: what is sent is listed
@finance_only
def download(request: HttpRequest) -> HttpResponseBase:
    """The records of a report as a file, where they are few enough to be sent at once."""
    now = timezone.now()
    try:
        return downloads.small(
            name=request.GET.get("format", ""),
            focus_version=request.GET.get("focus_version") or None,
            selection=_selection(request, budgets.spend_date(now)),
            user=cast("User", request.user),
            now=now,
        )
    except InvalidRequest as refusal:
        messages.warning(request, refusal.message)
        return redirect(f"{reverse('reports')}?{request.GET.urlencode()}")


@require_POST
@finance_only
def begin_run(request: HttpRequest) -> HttpResponseBase:
    """Have a report's records made into a file in the background."""
    now = timezone.now()
    try:
        runs.begin(
            user=cast("User", request.user),
            selection=_selection(request, budgets.spend_date(now)),
            form=request.POST.get("format") or request.GET.get("format", ""),
            focus_version=request.GET.get("focus_version") or None,
            now=now,
        )
        ask_for_exports()
    except InvalidRequest as refusal:
        messages.warning(request, refusal.message)
    return redirect(f"{reverse('reports')}?{request.GET.urlencode()}#runs")


@require_POST
@finance_only
def cancel_run(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """Cancel an export that is not done."""
    try:
        runs.cancel(run_id=run_id, now=timezone.now())
    except NotFound:
        raise Http404 from None
    return redirect(f"{reverse('reports')}?{request.GET.urlencode()}#runs")


@never_cache
@require_safe
@finance_only
def run_item(request: HttpRequest, run_id: UUID) -> HttpResponse:
    """A run as an item of the list."""
    try:
        found = shown(runs.get(run_id))
    except NotFound:
        raise Http404 from None
    with timezone.override(settings.BILLING_TIME_ZONE):
        return render(request, "billing/_run.html", {"item": found, "query": request.GET.urlencode()})


@require_safe
@finance_only
def run_download(request: HttpRequest, run_id: UUID) -> HttpResponseBase:
    """A done run's file."""
    try:
        return run_file(runs.get(run_id))
    except NotFound:
        raise Http404 from None
