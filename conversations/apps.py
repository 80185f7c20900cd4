from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate


class ConversationsConfig(AppConfig):
    name = "conversations"

    def ready(self) -> None:
        from conversations import words

        pre_migrate.connect(words.before_migrations, sender=self)
        post_migrate.connect(words.after_migrations, sender=self)
