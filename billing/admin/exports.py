"""Exports that were made in the background: for reading. They are asked for at /reports/."""

from typing import Any

from django.contrib import admin
from django.http import HttpRequest

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.dollars import column
from billing.models import ExportRun


@admin.register(ExportRun)
class ExportRunAdmin(ReadOnlyAdmin):
    """Who took which records out, when, and what was in the file."""

    list_select_related = ("user",)
    list_filter = ("state", "format")
    ordering = ("-pk",)

    def get_list_display(self, request: HttpRequest) -> list[Any]:
        """What finance sees of it too."""
        return ["user", "format", "state", "rows", column("cost"), "sha256"]

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them, money in dollars."""
        return [column(field.name) if field.name == "cost" else field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)
