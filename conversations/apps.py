from django.apps import AppConfig
from django.db.models.signals import post_migrate, pre_migrate
from django.utils.translation import gettext_lazy as _


class ConversationsConfig(AppConfig):
    name = "conversations"
    verbose_name = _("Conversations")

    def ready(self) -> None:
        from conversations import words

        pre_migrate.connect(words.before_migrations, sender=self)
        post_migrate.connect(words.after_migrations, sender=self)
