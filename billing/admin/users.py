"""What staff do to users about money: disable, enable, set a budget."""

from collections.abc import Callable
from typing import Any, ClassVar

from django import forms
from django.contrib import admin
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone

from accounts.admin import UserAdmin as PlainUserAdmin
from accounts.models import User
from billing import budgets, enforcement, money
from billing.admin.dollars import DollarsField
from billing.models import Account, Budget


class DisableForm(forms.Form):
    """Why; the user reads it."""

    reason = forms.CharField(max_length=200, help_text="The user reads this. They can still sign in and read.")


class BudgetForm(forms.Form):
    """A limit of the users' own."""

    period = forms.ChoiceField(choices=Budget.Period.choices)
    limit = DollarsField(required=False, help_text="Dollars; empty: the default that the settings give.")


admin.site.unregister(User)


@admin.register(User)
class UserAdmin(PlainUserAdmin):
    """Users, with the state of their account."""

    list_display: ClassVar[tuple[str, ...]] = (*PlainUserAdmin.list_display, "account_state")
    list_filter: ClassVar[tuple[str, ...]] = (*PlainUserAdmin.list_filter, "account__disabled_by")
    list_select_related = ("account",)
    actions = ("disable", "enable", "set_budget")

    @admin.display(description="account")
    def account_state(self, user: User) -> str:
        """Whether the user may send, and if not, by whom and why."""
        account = getattr(user, "account", None)
        if account is None or not account.disabled_by:
            return "enabled"
        return f"{account.get_disabled_by_display()}: {account.reason}"

    @admin.action(description="Disable, with a reason", permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """The users can sign in and read, but not send, until they are enabled."""

        def apply(users: list[User], form: forms.Form) -> str:
            reason = form.cleaned_data["reason"]
            count = enforcement.disable(
                users=users, by=Account.By.STAFF, reason=reason, until=None, now=timezone.now()
            )  # fmt: skip
            self._log(request, users, f"Disabled: {reason}")
            return f"{count} accounts disabled."

        return self._ask(request, queryset, action="disable", title="Disable accounts", form=DisableForm, apply=apply)

    @admin.action(description="Enable", permissions=["change"])
    @transaction.atomic
    def enable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The users can send again, as far as their budgets go."""
        users = list(queryset)
        count = enforcement.enable(users=users, now=timezone.now())
        self._log(request, users, "Enabled.")
        self.message_user(
            request,
            f"{count} accounts enabled. One whose own budget is used up stays disabled until its limit is raised.",
        )

    @admin.action(description="Set a daily or monthly budget", permissions=["change"])
    def set_budget(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """A limit of their own from the next call on."""

        def apply(users: list[User], form: forms.Form) -> str:
            period, limit = form.cleaned_data["period"], form.cleaned_data["limit"]
            for user in users:
                budgets.set_limit(user=user, period=period, limit=limit)
            enforcement.enforce_budgets(now=timezone.now(), users=users)
            amount = "the default" if limit is None else f"${money.to_json(limit)}"
            self._log(request, users, f"Budget per {period}: {amount}.")
            return f"{len(users)} users may spend {amount} a {period}."

        return self._ask(request, queryset, action="set_budget", title="Set a budget", form=BudgetForm, apply=apply)

    def _ask(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        *,
        action: str,
        title: str,
        form: type[forms.Form],
        apply: Callable[[list[User], forms.Form], str],
    ) -> HttpResponse | None:
        """A page between choosing users and acting on them; acts once its form is filled in."""
        asked = form(request.POST if "apply" in request.POST else None)
        if asked.is_valid():
            with transaction.atomic():
                done = apply(list(queryset), asked)
            self.message_user(request, done)
            return None
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": asked,
            "count": queryset.count(),
            "some": queryset[:20],
            "action": action,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "billing/admin_act_on_users.html", context)

    def _log(self, request: HttpRequest, users: list[User], message: str) -> None:
        if users:
            staff: Any = request.user
            LogEntry.objects.log_actions(staff.pk, users, CHANGE, change_message=message)
