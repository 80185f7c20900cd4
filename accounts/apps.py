from importlib import import_module

from django.apps import AppConfig


class AccountsConfig(AppConfig):
    name = "accounts"

    def ready(self) -> None:
        """Make the token's scheme known to the OpenAPI schema, which finds it by its being imported."""
        import_module("accounts.schema")
