"""Who did what about money, which months are closed, which mails are owed: for reading."""

from typing import Any, cast

from django import forms
from django.contrib import admin, messages
from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import ReadOnlyAdmin
from accounts.models import User
from billing import closing
from billing.admin.dollars import column
from billing.models import Act, MonthClosing, Notice


@admin.register(Act)
class ActAdmin(ReadOnlyAdmin):
    """The trail. The database itself refuses to change it."""

    list_display = ("at", "by_name", "kind", "subject", "before", "after", column("amount"), "reason")
    list_filter = ("kind",)
    search_fields = ("user__email__startswith", "by_name__startswith")
    search_help_text = _("The beginning of the e-mail address of who did it, or whom it concerns.")
    ordering = ("-pk",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them, the amount in dollars."""
        names = [field.name for field in self.opts.fields]
        return [column(name) if name == "amount" else name for name in names]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)


class CloseForm(forms.Form):
    """Which month."""

    month = forms.DateField(
        label=_("Month"),
        input_formats=["%Y-%m"],
        widget=forms.DateInput(attrs={"placeholder": "YYYY-MM"}),
        help_text=_(
            "A month that is over, such as 2026-03. Its records can't be changed afterwards, by anybody; "
            "what turns out to be wrong later is corrected in the month that is open then."
        ),
    )


@admin.register(MonthClosing)
class MonthClosingAdmin(ReadOnlyAdmin):
    """Closed months, with what was sealed. To add one is to close one."""

    list_display = ("month", "closed_at", "closed_by_name", "records", "calls", column("cost"), "sha256")
    ordering = ("-month",)

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        """Those with the permission."""
        return request.user.has_perm("billing.add_monthclosing")

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Ask for the month and close it; not in one transaction, as the admin's own page would."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        asked = CloseForm(request.POST or None)
        if asked.is_valid():
            try:
                closed = closing.close(
                    month=asked.cleaned_data["month"], by=cast(User, request.user), now=timezone.now()
                )  # fmt: skip
            except closing.NotClosable as refusal:
                asked.add_error("month", refusal.message)
            else:
                self.message_user(
                    request,
                    gettext("%(month)s is closed. SHA-256 %(sha256)s") % {"month": closed, "sha256": closed.sha256},
                    messages.SUCCESS,
                )
                return HttpResponseRedirect(reverse("admin:billing_monthclosing_changelist"))
        context = {
            **self.admin_site.each_context(request),
            "title": gettext("Close a month"),
            "opts": self.opts,
            "form": asked,
        }
        return TemplateResponse(request, "billing/admin_close_month.html", context)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All that was sealed."""
        return [column(field.name) if field.name == "cost" else field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of it."""
        return self.get_fields(request, obj)


@admin.register(Notice)
class NoticeAdmin(ReadOnlyAdmin):
    """Mails that were sent, or are owed."""

    list_display = ("created_at", "user", "subject", "sent_at", "unanswered")
    list_select_related = ("user",)
    list_filter = (("sent_at", admin.EmptyFieldListFilter), "threshold")
    search_fields = ("user__email__startswith", "key__startswith")
    search_help_text = _("The beginning of the user's e-mail address, or of the key.")
    ordering = ("-pk",)
