from importlib import import_module

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AccountsConfig(AppConfig):
    name = "accounts"
    verbose_name = _("People")

    def ready(self) -> None:
        """Make the token's scheme known to the OpenAPI schema, which finds it by its being imported."""
        import_module("accounts.schema")
