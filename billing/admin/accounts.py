"""Who is disabled, by whom, why and until when. The actions that change it are on the users' page."""

from django.contrib import admin
from django.utils.translation import gettext_lazy as _

from accounts.big_tables import ReadOnlyAdmin
from billing.models import Account


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """States of accounts."""

    list_display = ("user", "disabled_by", "why", "disabled_at", "disabled_until")
    list_select_related = ("user",)
    list_filter = ("disabled_by",)
    search_fields = ("user__email__startswith",)
    search_help_text = _("The beginning of the user's e-mail address.")
    ordering = ("-pk",)

    @admin.display(description=_("reason"), ordering="reason")
    def why(self, account: Account) -> str:
        """The reason, in the language that is spoken where the budget gave it."""
        return account.reason_shown if account.disabled_by else ""
