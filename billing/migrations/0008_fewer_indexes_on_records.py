"""Three indexes less on usage records, which are written when a call is held, settled and rolled up.

By SQL: altering the fields would make the table anew on SQLite, without its triggers.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

# The names that 0001 gave them, the same on every database.
INDEXES = {
    "user_id": "billing_usagerecord_user_id_915edca6",
    "group_id": "billing_usagerecord_group_id_a6271571",
    "price_id": "billing_usagerecord_price_id_75a97603",
}


def _field(name, **options):
    return migrations.AlterField(
        model_name="usagerecord", name=name, field=models.ForeignKey(db_index=False, **options)
    )


class Migration(migrations.Migration):
    dependencies = [
        ("auth", "0012_alter_user_first_name_max_length"),
        ("billing", "0007_lists_at_size"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL(f"DROP INDEX {name}", f"CREATE INDEX {name} ON billing_usagerecord ({column})")
                for column, name in INDEXES.items()
            ],
            state_operations=[
                _field(
                    "user",
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="usage_records",
                    to=settings.AUTH_USER_MODEL,
                ),
                _field(
                    "group",
                    null=True,
                    on_delete=django.db.models.deletion.SET_NULL,
                    related_name="+",
                    to="auth.group",
                ),
                _field(
                    "price",
                    null=True,
                    on_delete=django.db.models.deletion.PROTECT,
                    related_name="+",
                    to="billing.price",
                ),
            ],
        ),
    ]
