"""The books: usage records and their holds. For reading, by superusers too; corrections are new rows."""

from typing import Any

from django.contrib import admin
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html_join
from django.utils.safestring import SafeString
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import ReadOnlyAdmin
from billing.admin.correcting import CorrectionForm
from billing.admin.dollars import column
from billing.admin.recent import RecentAdmin
from billing.corrections import CORRECTABLE
from billing.models import Hold, UsageRecord


class BookAdmin(ReadOnlyAdmin):
    """Shows every field, money in dollars."""

    money_fields: tuple[str, ...] = ("cost",)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """The model's own order."""
        return [column(field.name) if field.name in self.money_fields else field.name for field in self.opts.fields]

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """All of them."""
        return self.get_fields(request, obj)


class UnpricedFilter(admin.SimpleListFilter):
    """Records with tokens of a class that their price has no rate for."""

    title = _("token classes")
    parameter_name = "unpriced"

    def lookups(self, request: HttpRequest, model_admin: Any) -> list[tuple[str, str]]:
        """The one choice."""
        return [("yes", gettext("some without a rate"))]

    def queryset(self, request: HttpRequest, queryset: Any) -> Any:
        """Those records."""
        return queryset.exclude(unpriced_classes="") if self.value() == "yes" else queryset


@admin.register(UsageRecord)
class UsageRecordAdmin(BookAdmin, RecentAdmin):
    """Every call, and what corrects one: who, what for, which model, how many tokens, what it cost."""

    money_fields = ("hold", "cost")
    change_form_template = "billing/admin_usage_record.html"
    list_display = (
        "id", "held_at", "user", column("cost"), "model", "state", "kind", column("hold"), "outcome", "measured",
        "input_tokens", "output_tokens", "feature", "over_hold",
    )  # fmt: skip
    list_filter = ("kind", "state", "outcome", "measured", "over_hold", UnpricedFilter, "spend_date")
    ordering = ("-spend_date", "-pk")

    def get_ordering(self, request: HttpRequest) -> Any:
        """Of one user the order that their index gives."""
        return ("-held_at", "-pk") if "user__id__exact" in request.GET else super().get_ordering(request)

    def get_fields(self, request: HttpRequest, obj: Any = None) -> list[Any]:
        """And what corrects it."""
        return [*super().get_fields(request, obj), "corrected_by"]

    @admin.display(description=_("corrected by"))
    def corrected_by(self, record: UsageRecord) -> SafeString:
        """The records that correct this one, with a link to each."""
        found = record.corrections.order_by("pk")
        links = [(reverse("admin:billing_usagerecord_change", args=[row.pk]), row) for row in found]
        return format_html_join(", ", '<a href="{}">{}</a>', links) or SafeString("–")

    def get_urls(self) -> list[URLPattern]:
        """The form that corrects one, beside what there is."""
        correct = self.admin_site.admin_view(self.correct_view)
        return [path("<int:pk>/correct/", correct, name="billing_usagerecord_correct"), *super().get_urls()]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The record, with the way to correct it for those who may."""
        may = request.user.has_perm("billing.add_usagerecord")
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "may_correct": may})

    def correct_view(self, request: HttpRequest, pk: int) -> HttpResponse:
        """Ask for what is right, and why; books corrections, and never edits."""
        if not request.user.has_perms(["billing.view_usagerecord", "billing.add_usagerecord"]):
            raise PermissionDenied
        record = UsageRecord.objects.select_related("user", "price").filter(pk=pk).first()
        if record is None or record.kind not in CORRECTABLE:
            raise Http404
        form = CorrectionForm(request.POST or None, record=record)
        if form.is_valid() and (done := form.book(request=request)):
            self.log_change(request, record, done)
            self.message_user(request, done)
            return HttpResponseRedirect(reverse("admin:billing_usagerecord_change", args=[pk]))
        title = _("Correct usage record %(number)s") % {"number": pk}
        context = {
            **self.admin_site.each_context(request), "title": title, "opts": self.opts, "form": form, "record": record,
        }  # fmt: skip
        return TemplateResponse(request, "billing/admin_correct_record.html", context)


@admin.register(Hold)
class HoldAdmin(ReadOnlyAdmin):
    """Which budget periods a record's hold lies in."""

    list_display = ("number", "period")
    list_select_related = ("period__budget__user", "period__budget__group")
    search_fields = ("record__id__exact",)
    search_help_text = _("The number of a usage record.")
    ordering = ("-pk",)

    @admin.display(description=_("record"), ordering="record")
    def number(self, hold: Hold) -> int:
        """The record, which need not be read for it."""
        return hold.record_id
