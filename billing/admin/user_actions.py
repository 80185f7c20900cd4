"""What staff do to users about money: disable, enable, set or raise a limit, grant credit, write off."""

from collections.abc import Callable, Sequence
from typing import Any, cast
from uuid import uuid4

from django import forms
from django.contrib import admin, messages
from django.contrib.admin import helpers
from django.contrib.admin.models import CHANGE, LogEntry
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy, ngettext

from accounts.admin import UserAdmin as PlainUserAdmin
from accounts.errors import InvalidRequest
from accounts.models import User
from billing import acts, corrections, enforcement, limiting, money
from billing.admin.dollars import DollarsField
from billing.admin.reasons import ReasonField
from billing.models import Account, Budget

MOST_USERS = 500  # that one action takes


class DisableForm(forms.Form):
    """Why; the user reads it."""

    reason = ReasonField(
        max_length=200, help_text=gettext_lazy("The user reads this. They can still sign in and read.")
    )


class BudgetForm(forms.Form):
    """A limit of the users' own."""

    period = forms.ChoiceField(label=gettext_lazy("Period"), choices=Budget.Period.choices)
    limit = DollarsField(
        label=gettext_lazy("Limit"),
        required=False,
        help_text=gettext_lazy("Dollars; empty: the default that the settings give."),
    )


class OnceForm(forms.Form):
    """A form that acts once, however often it is sent."""

    idempotency_key = forms.UUIDField(initial=uuid4, widget=forms.HiddenInput)


class RaiseForm(OnceForm):
    """So much more than each has now."""

    period = forms.ChoiceField(label=gettext_lazy("Period"), choices=Budget.Period.choices)
    more = DollarsField(
        label=gettext_lazy("More"), help_text=gettext_lazy("Dollars that each user's limit is raised by.")
    )
    reason = ReasonField(required=False)

    def clean_more(self) -> int:
        """A limit is raised by something."""
        more: int = self.cleaned_data["more"]
        if not more:
            raise forms.ValidationError(_("More than nothing."))
        return more


class AmountForm(OnceForm):
    """An amount for each, and why."""

    amount = DollarsField(
        label=gettext_lazy("Amount"),
        max_value=corrections.LARGEST // money.NANO_PER_DOLLAR,
        help_text=gettext_lazy("Dollars for each user."),
    )
    reason = ReasonField(help_text=gettext_lazy("Kept with each record, and in the trail."))


class UserActions(PlainUserAdmin):
    """The actions of the list of users; each is in the trail with who did it."""

    actions: Any = ("disable", "enable", "set_budget", "raise_limit", "grant_credit", "write_off")

    def has_booking_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may book money by hand."""
        return request.user.has_perm("billing.add_usagerecord")

    def has_budget_permission(self, request: HttpRequest) -> bool:
        """Whether somebody may change limits, here as on the budgets' own pages."""
        return request.user.has_perm("billing.change_budget")

    @admin.action(description=gettext_lazy("Disable, with a reason"), permissions=["change"])
    def disable(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """The users can sign in and read, but not send, until they are enabled."""

        def apply(users: list[User], given: dict[str, Any]) -> str:
            reason = given["reason"]
            count = enforcement.disable(
                users=users, by=Account.By.STAFF, reason=reason, until=None, now=timezone.now(), actor=_actor(request)
            )  # fmt: skip
            self._log(request, users, f"Disabled: {reason}")
            return ngettext("%(count)d account disabled.", "%(count)d accounts disabled.", count) % {"count": count}

        return self._ask(
            request, queryset, action="disable", title=_("Disable accounts"), form=DisableForm, apply=apply
        )

    @admin.action(description=gettext_lazy("Enable"), permissions=["change"])
    @transaction.atomic
    def enable(self, request: HttpRequest, queryset: QuerySet[User]) -> None:
        """The users can send again, as far as their budgets go."""
        users = self._chosen(request, queryset)
        if users is None:
            return
        count = enforcement.enable(users=users, now=timezone.now(), actor=_actor(request))
        self._log(request, users, "Enabled.")
        hint = _("One whose own budget is used up stays disabled until its limit is raised.")
        self.message_user(
            request,
            ngettext("%(count)d account enabled.", "%(count)d accounts enabled.", count) % {"count": count}
            + f" {hint}",
        )

    @admin.action(description=gettext_lazy("Set a daily or monthly budget"), permissions=["budget"])
    def set_budget(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """A limit of their own from the next call on."""

        def apply(users: list[User], given: dict[str, Any]) -> str:
            period, limit = given["period"], given["limit"]
            now = timezone.now()
            for user in users:
                limiting.set_limit(user=user, period=period, limit=limit, by=_actor(request), now=now)
            enforcement.enforce_budgets(now=now, users=users)
            amount = "the default" if limit is None else f"${money.to_json(limit)}"
            self._log(request, users, f"Budget per {period}: {amount}.")
            said = {"users": _users(users), "amount": _("the default") if limit is None else amount}
            if period == Budget.Period.DAY:
                return _("Budget set for %(users)s: %(amount)s a day.") % said
            return _("Budget set for %(users)s: %(amount)s a month.") % said

        return self._ask(request, queryset, action="set_budget", title=_("Set a budget"), form=BudgetForm, apply=apply)

    @admin.action(description=gettext_lazy("Raise the limit"), permissions=["budget"])
    def raise_limit(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Each may spend more than before, from the next call on; who was disabled by the budget may send again."""

        def apply(users: list[User], given: dict[str, Any]) -> str:
            period, more, now = given["period"], given["more"], timezone.now()
            for user in users:
                limiting.raise_limit(user=user, by=_actor(request), now=now, **given)
            enforcement.enforce_budgets(now=now, users=users)
            self._log(
                request, users, f"Budget per {period} raised by ${money.to_json(more)}. {given['reason']}".strip()
            )
            said = {"users": _users(users), "amount": f"${money.to_json(more)}"}
            if period == Budget.Period.DAY:
                return _("The daily limit of %(users)s raised by %(amount)s.") % said
            return _("The monthly limit of %(users)s raised by %(amount)s.") % said

        return self._ask(
            request, queryset, action="raise_limit", title=_("Raise the limit"), form=RaiseForm, apply=apply
        )

    @admin.action(description=gettext_lazy("Grant credit"), permissions=["booking"])
    def grant_credit(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Less spend, and as much more room in the users' own running day and month."""

        def apply(users: list[User], given: dict[str, Any]) -> str:
            now = timezone.now()
            for user in users:
                corrections.grant_credit(user=user, by=_actor(request), now=now, **given)
            enforcement.enforce_budgets(now=now, users=users)
            said = f"${money.to_json(given['amount'])}"
            self._log(request, users, f"Credit of {said}: {given['reason']}")
            return _("Credit of %(amount)s granted to %(users)s.") % {"amount": said, "users": _users(users)}

        return self._ask(
            request, queryset, action="grant_credit", title=_("Grant credit"), form=AmountForm, apply=apply
        )

    @admin.action(description=gettext_lazy("Write off"), permissions=["booking"])
    def write_off(self, request: HttpRequest, queryset: QuerySet[User]) -> HttpResponse | None:
        """Nobody is charged for so much of the users' spend; it makes no room in any budget."""

        def apply(users: list[User], given: dict[str, Any]) -> str:
            now = timezone.now()
            for user in users:
                corrections.write_off(user=user, by=_actor(request), now=now, **given)
            said = f"${money.to_json(given['amount'])}"
            self._log(request, users, f"Written off, {said}: {given['reason']}")
            return _("%(amount)s written off for %(users)s.") % {"amount": said, "users": _users(users)}

        return self._ask(request, queryset, action="write_off", title=_("Write off"), form=AmountForm, apply=apply)

    def _chosen(self, request: HttpRequest, queryset: QuerySet[User]) -> list[User] | None:
        """The users; None, with a message, where they are more than one action takes."""
        users = list(queryset.order_by("pk")[: MOST_USERS + 1])
        if len(users) <= MOST_USERS:
            return users
        self.message_user(
            request, _("At most %(count)d users at once. Narrow the list down.") % {"count": MOST_USERS}, messages.ERROR
        )
        return None

    def _ask(
        self,
        request: HttpRequest,
        queryset: QuerySet[User],
        *,
        action: str,
        title: str,
        form: type[forms.Form],
        apply: Callable[[list[User], dict[str, Any]], str],
    ) -> HttpResponse | None:
        """A page between choosing users and acting on them; acts once its form is filled in."""
        users = self._chosen(request, queryset)
        if users is None:
            return None
        asked = form(request.POST if "apply" in request.POST else None)
        if asked.is_valid() and self._applied(request, users, asked, apply):
            return None
        context: dict[str, Any] = {
            **self.admin_site.each_context(request),
            "title": title,
            "opts": self.opts,
            "form": asked,
            "count": len(users),
            "some": users[:20],
            "action": action,
            "checkbox": helpers.ACTION_CHECKBOX_NAME,
            "selected": request.POST.getlist(helpers.ACTION_CHECKBOX_NAME),
            "select_across": request.POST.get("select_across", "0"),
        }
        return TemplateResponse(request, "billing/admin_act_on_users.html", context)

    def _applied(
        self,
        request: HttpRequest,
        users: list[User],
        asked: forms.Form,
        apply: Callable[[list[User], dict[str, Any]], str],
    ) -> bool:
        """Act on all of them or on none; False, with the reason on the form, where the domain refuses.

        A form that was acted on before is answered as if it were sent for the first time, with a warning.
        """
        try:
            with transaction.atomic():
                enforcement.lock(users=users)  # before what is booked, or a budget, is
                done = apply(users, asked.cleaned_data)
        except InvalidRequest as refusal:
            asked.add_error(None, refusal.message)
            return False
        except acts.AlreadyDone as refusal:
            self.message_user(request, refusal.message, messages.WARNING)
            return True
        self.message_user(request, done)
        return True

    def _log(self, request: HttpRequest, users: Sequence[User], message: str) -> None:
        if users:
            LogEntry.objects.log_actions(_actor(request).pk, users, CHANGE, change_message=message)


def _actor(request: HttpRequest) -> User:
    return cast(User, request.user)


def _users(users: Sequence[User]) -> str:
    return ngettext("%(count)d user", "%(count)d users", len(users)) % {"count": len(users)}
