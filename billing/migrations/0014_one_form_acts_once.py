"""An act keeps the key of the form that asked for it, so that the database refuses to do it twice.

A column that may be empty, and an index of the rows where it is not: there are none yet, and SQLite adds both without
making the table anew, which would lose its triggers.
"""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0013_number_of_the_group"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="act",
            name="idempotency_key",
            field=models.UUIDField(
                help_text="Of the form that asked for it: sent twice, it acts once.",
                null=True,
                verbose_name="idempotency key",
            ),
        ),
        migrations.AddConstraint(
            model_name="act",
            constraint=models.UniqueConstraint(
                condition=models.Q(("idempotency_key__isnull", False)),
                fields=("idempotency_key", "user"),
                name="act_idempotency_key",
            ),
        ),
    ]
