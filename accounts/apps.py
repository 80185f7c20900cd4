from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        """Make known what is found by its being imported: the token's scheme, and ids in addresses."""
        import_module("accounts.schema")
        import_module("accounts.converters")
