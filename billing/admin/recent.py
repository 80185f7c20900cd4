"""Lists of tables in which ten million rows are no surprise: the newest first, and never all of them."""

from functools import cached_property
from typing import Any, ClassVar

from django.contrib.admin.views.main import ChangeList
from django.db.models import QuerySet
from django.http import HttpRequest
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import COUNTED, BoundedPaginator, ReadOnlyAdmin
from accounts.models import User

RECENT = 20_000  # rows that a list looks through where nobody has named a day or a user
MOST_USERS = 50  # that a search finds


class UnorderedPaginator(BoundedPaginator):
    """Counts, no further than the bound, without putting in order what it counts."""

    @cached_property
    def count(self) -> int:
        """How many rows can be paged through."""
        rows: Any = self.object_list
        return int(rows.order_by()[:COUNTED].count())


class RecentList(ChangeList):
    """A list that looks no further than the days of the newest rows, unless a user or a day is named.

    A filter that few rows pass would otherwise read the whole table to fill one page.
    """

    def get_queryset(self, request: HttpRequest, exclude_parameters: Any = None) -> QuerySet[Any]:
        """The rows of the list, bounded by day."""
        found: QuerySet[Any] = super().get_queryset(request, exclude_parameters)
        model_admin: Any = self.model_admin
        if self.query or any(name.startswith(model_admin.narrow) for name in self.params):
            return found
        newest = self.root_queryset.order_by("-pk").values_list("pk", flat=True)[:1]
        early = self.root_queryset.filter(pk__lte=max(0, *newest, 0) - RECENT).order_by("-pk")
        since = early.values_list(model_admin.day_field, flat=True)[:1]
        return found.filter(**{f"{model_admin.day_field}__gte": day for day in since})


class RecentAdmin(ReadOnlyAdmin):
    """Read-only rows of users and days, newest first, found by the beginning of an e-mail address."""

    paginator = UnorderedPaginator
    day_field = "spend_date"
    user_field = "user"
    narrow: tuple[str, ...] = ("user__", "spend_date")  # how parameters begin that leave few rows
    list_select_related: ClassVar[Any] = ("user",)
    search_fields: ClassVar[Any] = ("user__email",)  # a search is by `get_search_results`
    search_help_text = _(
        "The beginning of the user's e-mail address. Older rows than the newest ones are listed for a user or a day."
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The bounded list."""
        return RecentList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Any], search_term: str
    ) -> tuple[QuerySet[Any], bool]:
        """Rows of the first users whose address begins so: of users first, as there are few of them."""
        if not search_term.strip():
            return queryset, False
        begins = User.objects.filter(email__startswith=User.objects.normalize_email(search_term)).order_by("email")
        users = list(begins.values_list("pk", flat=True)[:MOST_USERS])
        return queryset.filter(**{f"{self.user_field}__in": users}), False
