"""The admin over rows that nobody edits, in tables too big to count."""

from functools import cached_property
from typing import TYPE_CHECKING, Any

from django.contrib import admin
from django.core import paginator
from django.http import HttpRequest

if TYPE_CHECKING:
    ModelAdmin = admin.ModelAdmin[Any]
    Paginator = paginator.Paginator[Any]
else:  # generic for the type checker only
    ModelAdmin = admin.ModelAdmin
    Paginator = paginator.Paginator

COUNTED = 5000  # rows that a list counts and pages through; who wants older ones, filters


class BoundedPaginator(Paginator):
    """Counts no further than a bound, so that a page costs the same in a table of any size."""

    @cached_property
    def count(self) -> int:
        """How many rows can be paged through."""
        rows: Any = self.object_list  # a queryset, in the admin
        return int(rows[:COUNTED].count())


class BigTableAdmin(ModelAdmin):
    """Lists without a count over the table."""

    paginator = BoundedPaginator
    show_full_result_count = False
    show_facets = admin.ShowFacets.NEVER  # a facet counts the whole table
    list_per_page = 50
    list_max_show_all = 200


class ReadOnlyAdmin(BigTableAdmin):
    """For reading; not even a superuser adds, changes or deletes here."""

    actions = None

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody."""
        return False
