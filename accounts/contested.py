"""The admin's forms that somebody else may send at the same time, for the same thing."""

from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.db import IntegrityError, connection
from django.http import HttpRequest, HttpResponse

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
else:  # generic for the type checker only
    ModelAdmin = admin.ModelAdmin


class ContestedAdmin(ModelAdmin):
    """Answers who comes second by the form itself, which says what is there already.

    A form looks for that before it saves. Two at once both find nothing, and the database refuses the second; but by
    then the first is committed, and the same form, asked again, finds it.
    """

    def changeform_view(
        self, request: HttpRequest, object_id: Any = None, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """The form of one row, or of a new one; saves in one transaction, or nothing."""
        try:
            return super().changeform_view(request, object_id, form_url, extra_context)
        except IntegrityError:
            return super().changeform_view(request, object_id, form_url, extra_context)

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """Save what belongs to the row; then look for what it names, as the database would at the commit.

        By that time the answer says that it is saved.
        """
        super().save_related(request, form, formsets, change)
        connection.check_constraints([self.opts.db_table])
