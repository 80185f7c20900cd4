"""Who is disabled, by whom, why and until when. The actions that change it are on the users' page."""

from django.contrib import admin

from accounts.big_tables import ReadOnlyAdmin
from billing.models import Account


@admin.register(Account)
class AccountAdmin(ReadOnlyAdmin):
    """States of accounts."""

    list_display = ("user", "disabled_by", "reason", "disabled_at", "disabled_until")
    list_select_related = ("user",)
    list_filter = ("disabled_by",)
    search_fields = ("user__email__startswith",)
    search_help_text = "The beginning of the user's e-mail address."
    ordering = ("-pk",)
