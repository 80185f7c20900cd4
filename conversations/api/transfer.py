"""In and out: imports, one conversation as a file, all of one's data. `urlpatterns` go under /api/."""

from __future__ import annotations

import logging
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any
from uuid import UUID

from celery.exceptions import OperationalError as BrokerAway
from django.core.files.uploadedfile import UploadedFile
from django.http import HttpResponseBase, StreamingHttpResponse
from django.urls import path
from django.utils import timezone
from django.utils.http import content_disposition_header
from django.utils.translation import gettext as _
from drf_spectacular.utils import OpenApiParameter, OpenApiResponse, extend_schema
from kombu.exceptions import KombuError
from rest_framework import serializers
from rest_framework.exceptions import ParseError
from rest_framework.parsers import FileUploadParser, MultiPartParser
from rest_framework.renderers import JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.errors import InvalidRequest, NotFound
from accounts.models import User
from conversations.api.base import AsyncAPIView, Pages
from conversations.models import Conversation, ImportRun
from conversations.pool import beside, in_database
from conversations.transfer import archive, json, markdown, pages, runs, upload
from conversations.transfer.tasks import import_file
from conversations.transfer.work import work

logger = logging.getLogger(__name__)

FORMATS: dict[str, tuple[str, Callable[[Conversation], Iterator[bytes]]]] = {
    "md": (markdown.CONTENT_TYPE, markdown.document),
    "json": (json.CONTENT_TYPE, json.document),
}
BROKER_AWAY = (BrokerAway, KombuError, OSError)


class ImportSerializer(serializers.Serializer[Any]):
    """An import."""

    id = serializers.UUIDField()
    file_name = serializers.CharField()
    size = serializers.IntegerField(help_text="Bytes.")
    state = serializers.ChoiceField(ImportRun.State.choices)
    total: Any = serializers.IntegerField(allow_null=True, help_text="Conversations in the file; null: not known yet.")
    done = serializers.IntegerField(help_text="Conversations dealt with: the sum of the next three.")
    added = serializers.IntegerField()
    existing = serializers.IntegerField(help_text="Were here already.")
    skipped = serializers.IntegerField(help_text="Could not be read.")
    reasons = serializers.ListField(
        child=serializers.DictField(), help_text="Why: `title`, `reason` of the first ones."
    )
    error = serializers.CharField(allow_null=True)
    created_at = serializers.DateTimeField()
    started_at = serializers.DateTimeField(allow_null=True)
    finished_at = serializers.DateTimeField(allow_null=True)


class FileSerializer(serializers.Serializer[Any]):
    """A file to import."""

    file = serializers.FileField(help_text="ChatGPT's ZIP or its JSON, Open WebUI's JSON, or our own ZIP or JSON.")


class RawFileParser(FileUploadParser):
    """A file that is the body itself, named by `Content-Disposition`: the page sends it so.

    Of a form every byte is looked at for the end of its parts.
    """

    media_type = "application/octet-stream"

    def get_filename(self, stream: Any, media_type: Any, parser_context: Any) -> str:
        """The name given, or a stand-in."""
        try:
            return str(super().get_filename(stream, media_type, parser_context) or "file")
        except ParseError:
            return "file"


class NewestFirst(Pages):
    """Imports, the last one first."""

    ordering = ("-id",)


def begin_import(user: User, file: UploadedFile[Any] | None) -> ImportRun:
    """Take a file in: a small one is imported when this returns, another by a worker.

    Raises InvalidRequest where a file is missing, or is seen at once to be broken; ImportInProgress; BodyTooLarge.
    """
    if file is None:
        raise InvalidRequest(_("Choose a file first."), fields={"file": [_("No file was sent.")]})
    size = int(file.size or 0)
    try:
        small = upload.is_small(file, size=size) if size else False
    except upload.Unreadable as unreadable:
        raise _unreadable(str(unreadable)) from None
    file.seek(0)
    run = runs.receive(user=user, name=file.name or "", chunks=file.chunks(), size=size, now=timezone.now())
    if not small:
        _enqueue(run)
        return run
    left = work(run_id=run.pk, clock=timezone.now)
    if left is not None:  # small, and yet it takes long
        _enqueue(run, left)
    run.refresh_from_db()
    if run.state == ImportRun.State.FAILED:
        run.delete()  # its sender is told now
        raise _unreadable(run.error)
    return run


def _unreadable(sentence: str) -> InvalidRequest:
    return InvalidRequest(sentence, fields={"file": [sentence]})


def _enqueue(run: ImportRun, *left: UUID) -> None:
    try:
        import_file.apply_async((str(run.pk), *map(str, left)), retry=False)  # its sender waits for it
    except BROKER_AWAY as error:
        logger.warning("import %s waits for beat, the broker is away: %s", run.pk, type(error).__name__)


class ImportsView(AsyncAPIView):
    """One's imports, and where a new one begins."""

    parser_classes: Any = (MultiPartParser, RawFileParser)
    pagination_class = NewestFirst

    @extend_schema(operation_id="list_imports", responses=ImportSerializer(many=True))
    async def get(self, request: Request) -> Response:
        """A page of them, the last one first."""
        return await in_database(self._list, request)

    @extend_schema(
        operation_id="import_file",
        request={"multipart/form-data": FileSerializer, RawFileParser.media_type: bytes},
        responses={201: ImportSerializer, 202: OpenApiResponse(ImportSerializer, description="A worker imports it.")},
    )
    async def post(self, request: Request) -> Response:
        """Bring in an export of ChatGPT, of Open WebUI or of this chat. What is here already is not added again."""
        return await beside(self._begin, request)

    def _list(self, request: Request) -> Response:
        return self.page(request, runs.own_runs(self.user), runs.as_json)

    def _begin(self, request: Request) -> Response:
        file = request.FILES.get("file")
        run = begin_import(self.user, file if isinstance(file, UploadedFile) else None)
        return Response(runs.as_json(run), status=201 if run.finished_at else 202)


class ImportView(AsyncAPIView):
    """One import."""

    @extend_schema(operation_id="get_import", responses=ImportSerializer)
    async def get(self, request: Request, run_id: UUID) -> Response:
        """How far it is, and what became of it."""
        return Response(runs.as_json(await in_database(runs.own_run, self.user, run_id)))


class FileView(AsyncAPIView):
    """Base of what answers with a file; errors are JSON, and `format` is ours, not REST framework's."""

    def perform_content_negotiation(self, request: Request, force: bool = False) -> Any:
        """Whatever is asked for, the file has its own type."""
        return JSONRenderer(), JSONRenderer.media_type


class ConversationExportView(FileView):
    """One conversation as a file."""

    @extend_schema(
        operation_id="export_conversation",
        parameters=[OpenApiParameter("format", str, enum=list(FORMATS), description="Default: json.")],
        responses={(200, json.CONTENT_TYPE): bytes, (200, "text/markdown"): bytes},
    )
    async def get(self, request: Request, conversation_id: UUID) -> HttpResponseBase:
        """As Markdown, its current branch; as JSON, the whole tree, which can be imported again."""
        wanted = request.query_params.get("format", "json")
        if wanted not in FORMATS:
            raise InvalidRequest(_("There is no such format."), fields={"format": [_("Either md or json.")]})
        content_type, document = FORMATS[wanted]
        kept = Conversation.objects.of(self.user).filter(pk=conversation_id, temporary=False)
        conversation = await in_database(kept.first)
        if conversation is None:
            raise NotFound
        return _file(document(conversation), content_type, f"{pages.file_name(conversation)}.{wanted}")


class ArchiveView(FileView):
    """All of one's data."""

    @extend_schema(operation_id="export_everything", responses={(200, archive.CONTENT_TYPE): bytes})
    async def get(self, request: Request) -> HttpResponseBase:
        """One ZIP: every conversation as JSON and Markdown, every call with its cost, the account."""
        now = timezone.now()
        return _file(archive.archive(self.user, now=now), archive.CONTENT_TYPE, f"chat {now:%Y-%m-%d}.zip")


def _file(pieces: Iterator[bytes], content_type: str, name: str) -> StreamingHttpResponse:
    headers = {
        "Content-Disposition": content_disposition_header(True, name) or "attachment",
        "Cache-Control": "no-store",
        "X-Accel-Buffering": "no",
    }
    return StreamingHttpResponse(_stream(pieces), content_type=content_type, headers=headers)


async def _stream(pieces: Iterator[bytes]) -> AsyncIterator[bytes]:
    while chunk := await beside(_next, pieces):
        yield chunk


def _next(pieces: Iterator[bytes], least: int = archive.PIECE) -> bytes:
    """Some pieces together; nothing at the end."""
    taken = bytearray()
    for piece in pieces:
        taken += piece
        if len(taken) >= least:
            break
    return bytes(taken)


urlpatterns = [
    path("imports/", ImportsView.as_view()),
    path("imports/<id:run_id>/", ImportView.as_view()),
    path("conversations/<id:conversation_id>/export/", ConversationExportView.as_view()),
    path("export/", ArchiveView.as_view(), name="archive"),
]
