"""Daily spend knows groups, and has daily totals and monthly spend beside it; all are computed anew from the records.

The tables of daily spend are this transaction's own meanwhile; holding and settling go on.
"""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

KEY = "spend_date, model, feature, key_fingerprint, group_name"
SUMS = (
    "calls",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "cost",
)
SUMMED = ", ".join(f"SUM({name})" for name in SUMS)
SPEND = f"""
INSERT INTO billing_dailyspend (user_id, {KEY}, {", ".join(SUMS)})
SELECT user_id, {KEY}, {SUMMED} FROM billing_usagerecord WHERE state = 'settled' GROUP BY user_id, {KEY}
"""  # noqa: S608
NOTES = "DELETE FROM billing_uncountedrecord"
TOTALS = f"""
INSERT INTO billing_dailytotal ({KEY}, {", ".join(SUMS)})
SELECT {KEY}, {SUMMED} FROM billing_dailyspend GROUP BY {KEY}
"""  # noqa: S608
MONTHS = {"postgresql": "date_trunc('month', spend_date)::date", "sqlite": "date(spend_date, 'start of month')"}


def empty(apps, schema_editor):
    """What is in it is computed anew, with the groups forwards, without them backwards."""
    delete = "TRUNCATE" if schema_editor.connection.vendor == "postgresql" else "DELETE FROM"
    schema_editor.execute(f"{delete} billing_dailyspend", params=None)


def fill(apps, schema_editor):
    """Sums and notes as of the same instant: by one statement, or because SQLite has one writer."""
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(f"WITH notes AS ({NOTES}) {SPEND}", params=None)
    else:
        for statement in (SPEND, NOTES):
            schema_editor.execute(statement, params=None)
    schema_editor.execute(TOTALS, params=None)
    schema_editor.execute(
        f"INSERT INTO billing_monthlyspend (month, user_id, {', '.join(SUMS)})"  # noqa: S608
        f" SELECT {MONTHS[schema_editor.connection.vendor]}, user_id, {SUMMED} FROM billing_dailyspend GROUP BY 1, 2",
        params=None,
    )


def uncount(apps, schema_editor):
    """Backwards: every record waits for the roll-up, which makes daily spend anew."""
    schema_editor.execute(
        "INSERT INTO billing_uncountedrecord (record_id)"
        " SELECT id FROM billing_usagerecord WHERE state = 'settled' ON CONFLICT DO NOTHING",
        params=None,
    )


def amount(name, **options):
    return (name, models.BigIntegerField(default=0, verbose_name=name.replace("_", " "), **options))


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("billing", "0010_uncounted_records"),
    ]

    operations = [
        migrations.RunPython(empty, migrations.RunPython.noop),
        migrations.RemoveConstraint(model_name="dailyspend", name="dailyspend_once"),
        migrations.AddField(
            model_name="dailyspend",
            name="group_name",
            field=models.CharField(blank=True, db_default="", max_length=150, verbose_name="group name"),
        ),
        migrations.AddConstraint(
            model_name="dailyspend",
            constraint=models.UniqueConstraint(
                fields=("spend_date", "user", "model", "feature", "key_fingerprint", "group_name"),
                name="dailyspend_once",
            ),
        ),
        migrations.CreateModel(
            name="DailyTotal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                *(amount(name) for name in SUMS[:-1]),
                amount("cost", help_text="Nano-dollars."),
                ("spend_date", models.DateField(verbose_name="spend date")),
                ("model", models.CharField(blank=True, max_length=100, verbose_name="model")),
                ("feature", models.CharField(max_length=20, verbose_name="feature")),
                ("key_fingerprint", models.CharField(blank=True, max_length=12, verbose_name="key fingerprint")),
                ("group_name", models.CharField(blank=True, max_length=150, verbose_name="group name")),
            ],
            options={"verbose_name": "daily total", "verbose_name_plural": "daily totals"},
        ),
        migrations.AddConstraint(
            model_name="dailytotal",
            constraint=models.UniqueConstraint(
                fields=("spend_date", "model", "feature", "key_fingerprint", "group_name"), name="dailytotal_once"
            ),
        ),
        migrations.CreateModel(
            name="MonthlySpend",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                *(amount(name) for name in SUMS[:-1]),
                amount("cost", help_text="Nano-dollars."),
                ("month", models.DateField(help_text="Its first day.", verbose_name="month")),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                        verbose_name="user",
                    ),
                ),
            ],
            options={"verbose_name": "monthly spend", "verbose_name_plural": "monthly spend"},
        ),
        migrations.AddConstraint(
            model_name="monthlyspend",
            constraint=models.UniqueConstraint(fields=("month", "user"), name="monthlyspend_once"),
        ),
        migrations.RunPython(fill, uncount),
        migrations.RunPython(migrations.RunPython.noop, empty),
    ]
