"""The finance report and its exports."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date
from typing import Any, cast
from urllib.parse import urlencode
from uuid import UUID

from django.http import HttpResponse, HttpResponseBase
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import MethodNotAllowed
from rest_framework.permissions import BasePermission, IsAuthenticated
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from billing import budgets, downloads, exports, money, reports, runs
from billing.access import may_read_reports
from billing.api import serializers
from billing.exports.focus import metadata
from billing.exports.focus.columns import DEFAULT_VERSION, VERSIONS
from billing.models import ExportRun
from billing.selection import Selection
from billing.tasks import ask_for_exports
from billing.totals import GROUPINGS
from billing.usage import last_of_month

RUNS_SHOWN = 50
DAYS = [
    OpenApiParameter("from", date, description="First spend date; default: the first of this month."),
    OpenApiParameter("to", date, description="Last spend date, included; default: the last of this month."),
]
FILTERS = [
    OpenApiParameter("user", int), OpenApiParameter("group", str), OpenApiParameter("model", str),
    OpenApiParameter("feature", str), OpenApiParameter("key", str, description="A provider key's fingerprint."),
]  # fmt: skip
VERSION = OpenApiParameter("focus_version", str, enum=list(VERSIONS), description=f"Default: {DEFAULT_VERSION}.")


class ReadsReports(BasePermission):
    """Those in the group Finance and superusers; for others there is nothing here."""

    def has_permission(self, request: Request, view: APIView) -> bool:
        """Raises NotFound for whoever is signed in, but may not."""
        if request.user.is_authenticated and not may_read_reports(request.user):
            raise NotFound
        return True


class FileView(APIView):
    """Base of what answers with a file: `format` is ours, not REST framework's."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Whatever is asked for, a file has its own type, and errors are JSON."""
        return JSONRenderer(), JSONRenderer.media_type


class FinanceView(FileView):
    """Base of the report's views."""

    permission_classes = (IsAuthenticated, ReadsReports)


def selection_of(query: Mapping[str, Any]) -> Selection:
    """The days and filters of a request; this month where no days are given. Raises InvalidRequest."""
    if not all(isinstance(value, str | int) for value in query.values()):
        raise InvalidRequest(_("Every field is a text."), fields={"body": [_("Every field is a text.")]})
    today = budgets.spend_date(timezone.now())
    given = {name: str(value) for name, value in query.items()}
    return Selection.of_query(given, first=today.replace(day=1), last=last_of_month(today))


class UsageReportView(FinanceView):
    """GET /api/reports/usage/."""

    @extend_schema(
        summary="Usage and spend by something, or its records as a file",
        parameters=[
            *DAYS,
            OpenApiParameter("group_by", str, enum=list(GROUPINGS), description="Default: model."),
            OpenApiParameter("format", str, enum=["json", *exports.FORMATS], description="Default: json."),
            VERSION,
            *FILTERS,
            OpenApiParameter("page", int),
            OpenApiParameter("page_size", int, description=f"At most {reports.MOST_LINES}; default {reports.PAGE}."),
        ],
        responses={200: serializers.ReportSerializer},
        tags=["reports"],
    )
    def get(self, request: Request) -> HttpResponseBase:
        """The report as JSON; in any other format its usage records, at most 50,000 at once."""
        query = request.query_params.dict()
        wanted = query.get("format") or "json"
        selection = selection_of(query)
        if wanted != "json":
            return downloads.small(
                name=wanted,
                focus_version=query.get("focus_version"),
                selection=selection,
                user=cast("User", request.user),
                now=timezone.now(),
            )
        page, size = _number(query, "page", 1), _number(query, "page_size", reports.PAGE)
        found = reports.report(selection=selection, group_by=query.get("group_by") or "model", page=page, size=size)
        return Response(
            {
                **found.as_json(),
                "next": _page(request, page + 1) if found.more else None,
                "previous": _page(request, page - 1) if page > 1 else None,
            }
        )

    def head(self, request: Request) -> HttpResponseBase:
        """As GET; but a file has no head: what is sent is listed, and nothing would be sent."""
        if (request.query_params.get("format") or "json") != "json":
            raise MethodNotAllowed("HEAD")
        return self.get(request)


class FocusMetadataView(FinanceView):
    """GET /api/reports/focus-metadata/."""

    @extend_schema(
        summary="What a FOCUS file holds", parameters=[VERSION], responses={(200, metadata.CONTENT_TYPE): bytes},
        tags=["reports"],
    )  # fmt: skip
    def get(self, request: Request) -> HttpResponse:
        """The metadata that FOCUS wants beside the data."""
        version = request.query_params.get("focus_version") or DEFAULT_VERSION
        exports.of("focus", focus_version=version)
        name = f"focus-{version}.metadata.json"
        headers = {"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"}
        return HttpResponse(metadata.document(version), content_type=metadata.CONTENT_TYPE, headers=headers)


class RunsView(FinanceView):
    """GET and POST /api/reports/runs/."""

    @extend_schema(
        summary="Exports made in the background",
        parameters=[OpenApiParameter("before", UUID, description="Runs older than this one.")],
        responses=serializers.RunsSerializer,
        operation_id="list_export_runs",
        tags=["reports"],
    )
    def get(self, request: Request) -> Response:
        """Who asked for what, how far it is, and what became of it; the newest first."""
        found = runs.recent()
        if before := request.query_params.get("before"):
            try:
                found = found.filter(pk__lt=UUID(before))
            except ValueError:
                raise InvalidRequest(_("There is no such run."), fields={"before": [_("A run's id.")]}) from None
        page = list(found[: RUNS_SHOWN + 1])
        shown = page[:RUNS_SHOWN]
        following = (
            f"{request.build_absolute_uri(request.path)}?before={shown[-1].pk}" if len(page) > RUNS_SHOWN else None
        )
        return Response({"next": following, "previous": None, "results": [as_json(run) for run in shown]})

    @extend_schema(
        summary="Have an export made",
        request=serializers.RunRequestSerializer,
        responses={202: serializers.RunSerializer},
        tags=["reports"],
    )
    def post(self, request: Request) -> Response:
        """Any number of records; the answer says where to look how far it is."""
        if not isinstance(request.data, Mapping):
            raise InvalidRequest(_("The body is a JSON object."), fields={"body": [_("Not an object.")]})
        body = {name: value for name, value in request.data.items() if value is not None}
        selection = selection_of(body)
        run = runs.begin(
            user=cast("User", request.user),
            selection=selection,
            form=str(body.get("format", "csv")),
            focus_version=str(body["focus_version"]) if "focus_version" in body else None,
            now=timezone.now(),
        )
        ask_for_exports()
        return Response(as_json(run), status=202, headers={"Location": reverse("export-run", args=[run.pk])})


class RunView(FinanceView):
    """GET /api/reports/runs/{id}/."""

    @extend_schema(summary="One export", responses=serializers.RunSerializer, tags=["reports"])
    def get(self, request: Request, run_id: UUID) -> Response:
        """How far it is, and what became of it."""
        return Response(as_json(runs.get(run_id)))


class CancelRunView(FinanceView):
    """POST /api/reports/runs/{id}/cancel/."""

    @extend_schema(summary="Cancel an export", request=None, responses=serializers.RunSerializer, tags=["reports"])
    def post(self, request: Request, run_id: UUID) -> Response:
        """No file is kept; one that is done stays done."""
        return Response(as_json(runs.cancel(run_id=run_id, now=timezone.now())))


class RunFileView(FinanceView):
    """GET /api/reports/runs/{id}/file/."""

    @extend_schema(summary="An export's file", responses={(200, "application/octet-stream"): bytes}, tags=["reports"])
    def get(self, request: Request, run_id: UUID) -> HttpResponseBase:
        """The file, until it expires."""
        return run_file(runs.get(run_id))


def run_file(run: ExportRun) -> HttpResponseBase:
    """The answer with a done run's file. Raises NotFound."""
    form = runs.format_of(run)
    file = runs.open_file(run, now=timezone.now())
    name = f"{runs.selection_of(run).file_stem}{form.SUFFIX}"
    return downloads.send(file, name=name, content_type=form.CONTENT_TYPE)


def as_json(run: ExportRun) -> dict[str, Any]:
    """The API's form of a run."""
    there = run.state == ExportRun.State.DONE and bool(run.file_name)
    return {
        "id": str(run.pk),
        "format": run.format,
        "label": runs.format_of(run).LABEL,
        **runs.selection_of(run).as_query(),
        "state": run.state,
        "requested_by": run.user.email,
        "created_at": _instant(run.created_at),
        "started_at": _instant(run.started_at),
        "ended_at": _instant(run.ended_at),
        "records_done": run.done,
        "records": run.of,
        "rows": run.rows,
        "total_usd": None if run.cost is None else money.to_json(run.cost),
        "size": run.size,
        "sha256": run.sha256 or None,
        "error": run.error or None,
        "expires_at": _instant(run.expires_at),
        "file": reverse("export-run-file", args=[run.pk]) if there else None,
    }


def _instant(at: Any) -> str | None:
    return at.isoformat() if at else None


def _number(query: Mapping[str, str], name: str, default: int) -> int:
    text = query.get(name) or str(default)
    if not (text.isdecimal() and len(text) < 10):
        raise InvalidRequest(_("There is no such page."), fields={name: [_("A number from 1.")]})
    return int(text)


def _page(request: Request, number: int) -> str:
    query = {**request.query_params.dict(), "page": str(number)}
    return f"{request.build_absolute_uri(request.path)}?{urlencode(query)}"
