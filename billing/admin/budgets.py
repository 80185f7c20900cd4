"""Limits, which staff set, and what is spent of them, which nobody edits."""

from typing import Any, cast

from django import forms
from django.contrib import admin
from django.http import HttpRequest
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import BigTableAdmin
from accounts.contested import ContestedAdmin
from accounts.models import User
from billing import budgets, enforcement, limiting
from billing.admin.dollars import DollarsField, column
from billing.admin.recent import RecentAdmin
from billing.models import Budget, BudgetPeriod

MOST_SHARED = 1000  # budgets of groups whose periods are listed together


class BudgetForm(forms.ModelForm):  # type: ignore[type-arg]  # not generic at run time
    """A limit in dollars."""

    limit = DollarsField(
        label=_("Limit"), required=False, help_text=_("Dollars; empty: the default that the settings give.")
    )
    at_limit = forms.ChoiceField(
        choices=Budget.AtLimit.choices,
        required=False,
        label=_("At the limit"),
        help_text=Budget._meta.get_field("at_limit").help_text,
    )

    class Meta:
        model = Budget
        fields = ("scope", "user", "group", "period", "limit", "at_limit")

    def clean_at_limit(self) -> str:
        """As it was, where nothing is chosen."""
        return str(self.cleaned_data["at_limit"] or self.instance.at_limit)

    def clean(self) -> dict[str, Any]:
        """What the database refuses, said beside the field: it knows what this form does not show any more."""
        given: dict[str, Any] = super().clean() or self.cleaned_data
        scope, user, group, period, at_limit = (
            given.get(name, getattr(self.instance, name)) for name in ("scope", "user", "group", "period", "at_limit")
        )
        if scope and period and given.get("limit", 0) is None and (scope, period) not in budgets.DEFAULTS:
            self.add_error("limit", _("There is no default for this budget: give a limit."))
        if at_limit == Budget.AtLimit.DEACTIVATE and scope != Budget.Scope.USER:
            self.add_error("at_limit", _("The sign-in can be taken away by a user's own budget alone."))
        if self.instance.pk is None:
            same = Budget.objects.filter(scope=scope, period=period)
            for name, whom, wanted in (("user", user, Budget.Scope.USER), ("group", group, Budget.Scope.GROUP)):
                if name not in self.errors and (whom is None) == (scope == wanted):
                    self.add_error(name, _("Say whose budget it is.") if whom is None else _("Leave this empty here."))
                same = same.filter(**{name: whom if scope == wanted else None})
            if same.exists():
                self.add_error("period", _("There is such a budget already: change that one."))
        return given


@admin.register(Budget)
class BudgetAdmin(ContestedAdmin, BigTableAdmin):
    """Budgets of users, groups and everyone. A new limit counts from the next call on."""

    form = BudgetForm
    list_display = ("__str__", "scope", "period", column("limit"), "at_limit")
    list_select_related = ("user", "group")
    list_filter = ("scope", "period", "at_limit", ("limit", admin.EmptyFieldListFilter))
    search_fields = ("user__email__startswith", "group__name")
    search_help_text = _("The beginning of the user's e-mail address, or a group's name.")
    autocomplete_fields = ("user",)
    ordering = ("pk",)

    def get_readonly_fields(self, request: HttpRequest, obj: Budget | None = None) -> tuple[str, ...]:
        """Whose budget it is and for how long stays: its periods are booked."""
        return () if obj is None else ("scope", "user", "group", "period")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Nobody: its periods are booked. Empty the limit instead."""
        return False

    def save_model(self, request: HttpRequest, obj: Budget, form: Any, change: bool) -> None:
        """Save, write it in the trail, and let the user feel it at once."""
        now = timezone.now()
        if obj.user is not None:
            enforcement.lock(users=[obj.user])
        before = Budget.objects.select_for_update(no_key=True).filter(pk=obj.pk).first() if change else None
        super().save_model(request, obj, form, change)
        limiting.note_change(budget=obj, before=before, by=cast(User, request.user), now=now)
        if obj.user is not None:
            enforcement.enforce_budgets(now=now, users=[obj.user])


class SharedFilter(admin.SimpleListFilter):
    """Periods of budgets that many share: few among those of all users, so they are looked up by budget."""

    title = _("whose")
    parameter_name = "whose"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(Budget.Scope.EVERYONE, gettext("everyone's")), (Budget.Scope.GROUP, gettext("groups'"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those periods."""
        if self.value() not in (Budget.Scope.EVERYONE, Budget.Scope.GROUP):
            return queryset
        shared = Budget.objects.filter(scope=self.value()).order_by("pk").values_list("pk", flat=True)
        return queryset.filter(budget__in=list(shared[:MOST_SHARED]))


class RunningFilter(admin.SimpleListFilter):
    """The periods that run now, of days or of months: among all of them those of months are too far apart to list."""

    title = "running"
    parameter_name = "running"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The choices."""
        return [(Budget.Period.DAY, gettext("today")), (Budget.Period.MONTH, gettext("this month"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those periods."""
        period = self.value()
        if period not in Budget.Period.values:
            return queryset
        start = budgets.period_start(period=period, day=budgets.spend_date(timezone.now()))
        return queryset.filter(start=start, budget__period=period)


@admin.register(BudgetPeriod)
class BudgetPeriodAdmin(RecentAdmin):
    """What is spent and held in each day and month."""

    day_field, user_field, narrow = "start", "budget__user", ("budget__user__", "start", "whose", "running")
    list_display = ("__str__", "start", column("spent"), column("held"))
    list_select_related = ("budget__user", "budget__group")
    list_filter = (SharedFilter, RunningFilter, "start")
    ordering = ("-start", "-pk")

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """Money in dollars."""
        return ["budget", "start", column("spent"), column("held")]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)
