"""Users with what they spend: the list, its filters, and a page for each."""

from datetime import timedelta
from typing import Any, ClassVar

from django.conf import settings
from django.contrib import admin
from django.contrib.admin.views.main import ChangeList
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse
from django.template.loader import render_to_string
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString, mark_safe
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.admin import UserAdmin as PlainUserAdmin
from accounts.big_tables import COUNTED
from accounts.models import User
from billing import budgets, chart, enforcement, meters, totals
from billing.admin.recent import UnorderedPaginator
from billing.admin.user_actions import UserActions
from billing.models import Account, Act, UsageRecord
from billing.purse import Meter
from billing.selection import Selection

DAYS = 30
ACTS_SHOWN = 20
RECORDS_SHOWN = 20


class SpendFilter(admin.SimpleListFilter):
    """Who has little left, or nothing, of their own daily or monthly budget."""

    title = _("own budget")
    parameter_name = "budget"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [("80", gettext("over 80 percent")), ("100", gettext("used up"))]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Those users."""
        if self.value() not in ("80", "100"):
            return queryset
        over = meters.users_over(percent=int(self.value() or 0), now=timezone.now(), most=COUNTED)
        return queryset.filter(pk__in=over)


class AccountFilter(admin.SimpleListFilter):
    """Who may not send, and by whom it was taken away."""

    title = _("account")
    parameter_name = "account"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [
            ("disabled", gettext("disabled")),
            (Account.By.BUDGET, gettext("by the budget")),
            (Account.By.STAFF, gettext("by staff")),
        ]

    def queryset(self, request: HttpRequest, queryset: QuerySet[User]) -> QuerySet[User]:
        """Those users."""
        value = self.value()
        if value in (Account.By.BUDGET, Account.By.STAFF):
            return queryset.filter(account__disabled_by=value)
        return queryset.filter(pk__in=Account.objects.disabled().values("pk")) if value == "disabled" else queryset


class UserList(ChangeList):
    """A page of users; how their budgets stand is read for all of the page at once."""

    def get_results(self, request: HttpRequest) -> None:
        """The page's users, each with its meters."""
        super().get_results(request)
        users: list[Any] = list(self.result_list)
        found = meters.of_users(users, now=timezone.now())
        for user in users:
            user.meters = found[user.pk]
        self.result_list = users


admin.site.unregister(User)


@admin.register(User)
class UserAdmin(UserActions):
    """Users, with what they have spent and the state of their account."""

    paginator = UnorderedPaginator
    list_display: Any = ("email", "month", "today", "account_state", "name", "spend")
    list_filter: ClassVar[Any] = (SpendFilter, AccountFilter, *PlainUserAdmin.list_filter)
    list_select_related = ("account",)
    readonly_fields: ClassVar[Any] = (*PlainUserAdmin.readonly_fields, "spend")
    fieldsets: ClassVar[Any] = (
        *PlainUserAdmin.fieldsets[:1],
        (_("Money"), {"fields": ("spend",)}),
        *PlainUserAdmin.fieldsets[1:],
    )

    def get_changelist(self, request: HttpRequest, **kwargs: Any) -> type[ChangeList]:
        """The list that knows of budgets."""
        return UserList

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[User], search_term: str
    ) -> tuple[QuerySet[User], bool]:
        """The first of those found, looked for once: a word within a name means a look at every user."""
        found, doubled = super().get_search_results(request, queryset, search_term)
        if not search_term.strip():
            return found, doubled
        return queryset.filter(pk__in=list(found.order_by("email").values_list("pk", flat=True)[:COUNTED])), False

    @admin.display(description=_("today"))
    def today(self, user: Any) -> SafeString:
        """Spent of the daily limit."""
        return _shown(user.meters["day"])

    @admin.display(description=_("this month"))
    def month(self, user: Any) -> SafeString:
        """Spent of the monthly limit."""
        return _shown(user.meters["month"])

    @admin.display(description=_("spend"))
    def spend(self, user: User) -> SafeString:
        """The way to the user's days and calls."""
        return format_html(
            '<a href="{}">{}</a>', reverse("admin:accounts_user_spend", args=[user.pk]), gettext("Days and calls")
        )

    @admin.display(description=_("account"))
    def account_state(self, user: User) -> str:
        """Whether the user may send, and if not, by whom and why."""
        account = getattr(user, "account", None)
        if account is None or not account.disabled_by:
            return gettext("enabled")
        return f"{account.get_disabled_by_display()}: {account.reason_shown}"

    def save_model(self, request: HttpRequest, obj: User, form: Any, change: bool) -> None:
        """Save; whose sign-in staff take away, no budget gives it back."""
        taken = change and "is_active" in form.changed_data and not obj.is_active
        if taken:
            enforcement.lock(users=[obj])  # before the user, as a budget does that takes the sign-in away
        super().save_model(request, obj, form, change)
        if taken:
            enforcement.keep_signed_out(user=obj)

    def get_urls(self) -> list[URLPattern]:
        """The user's spend beside what there is."""
        spend = self.admin_site.admin_view(self.spend_view)
        return [path("<int:pk>/spend/", spend, name="accounts_user_spend"), *super().get_urls()]

    def spend_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """A user's budgets, days and newest calls, and what staff did about them."""
        if not (self.has_view_permission(request) and request.user.has_perm("billing.view_usagerecord")):
            raise PermissionDenied
        user = User.objects.select_related("account").filter(pk=pk).first()
        if user is None:
            raise Http404
        now = timezone.now()
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Spend of %(name)s") % {"name": user.get_full_name()},
            "opts": self.opts,
            "person": user,
            "state": self.account_state(user),
            "meters": meters.of_users([user], now=now)[user.pk].values(),
            "zone": settings.BILLING_TIME_ZONE,
            "chart": _days(user, last=budgets.spend_date(now)),
            "records": UsageRecord.objects.filter(user=user).order_by("-held_at", "-pk")[:RECORDS_SHOWN],
            "acts": Act.objects.filter(user=user).order_by("-pk")[:ACTS_SHOWN],
        }
        return TemplateResponse(request, "billing/admin_user_spend.html", context)


def _shown(meter: Meter) -> SafeString:
    return mark_safe(render_to_string("billing/admin_spent.html", {"meter": meter}))  # noqa: S308  (our template)


def _days(user: User, *, last: Any) -> chart.Chart:
    """The user's last days by model."""
    days = [last - timedelta(days=offset) for offset in reversed(range(DAYS))]
    rows = totals.grouped(Selection(first=days[0], last=last, user=user.pk), "day", "model")
    costs = {(day, model): totals.Total.of(sums).cost for day, model, *sums in rows}
    models = sorted({model for _, model in costs}, key=lambda name: (-_sum(costs, name), name))
    by_day = [(day, [costs.get((day, model), 0) for model in models]) for day in days]
    return chart.draw(days=by_day, names=[model or gettext("without a model") for model in models])


def _sum(costs: dict[Any, int], name: str) -> int:
    return sum(cost for (_, model), cost in costs.items() if model == name)
