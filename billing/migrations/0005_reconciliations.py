"""Comparisons with the provider's figures, and the corrections that they propose."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0004_export_runs"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Reconciliation",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("started_at", models.DateTimeField()),
                ("by_name", models.CharField(help_text="As it was then.", max_length=254)),
                ("first", models.DateField(help_text="First day, in UTC, as the provider counts days.")),
                ("last", models.DateField(help_text="Last day, included.")),
                ("files", models.JSONField(help_text="Name and SHA-256 of each file.")),
                (
                    "keys",
                    models.JSONField(
                        default=dict, help_text="Fingerprints by the provider's names of keys, as they were given."
                    ),
                ),
                ("report", models.JSONField(help_text="Differences and notes.")),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="+", to=settings.AUTH_USER_MODEL
                    ),
                ),
            ],
            options={
                "ordering": ["-pk"],
            },
        ),
        migrations.CreateModel(
            name="Proposal",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("difference", models.PositiveIntegerField(help_text="Which of the report's differences it settles.")),
                ("day", models.DateField(help_text="In UTC.")),
                ("model", models.CharField(blank=True, max_length=200)),
                ("key", models.CharField(blank=True, max_length=200)),
                (
                    "act",
                    models.CharField(
                        choices=[
                            ("correct", "replace the record by the provider's figures"),
                            ("reverse", "take the record back"),
                            ("adjust", "book an adjustment"),
                            ("note", "book nothing, and hold the difference for explained"),
                        ],
                        max_length=7,
                    ),
                ),
                ("sentence", models.CharField(max_length=500)),
                ("calls", models.IntegerField(default=0)),
                ("input_tokens", models.BigIntegerField(default=0)),
                ("cached_input_tokens", models.BigIntegerField(default=0)),
                ("cache_write_tokens", models.BigIntegerField(default=0)),
                ("output_tokens", models.BigIntegerField(default=0)),
                ("amount", models.BigIntegerField(help_text="Nano-dollars that it adds to what was spent, signed.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("open", "open"),
                            ("booked", "booked"),
                            ("replaced", "replaced by a newer comparison"),
                        ],
                        default="open",
                        max_length=8,
                    ),
                ),
                ("booked_at", models.DateTimeField(null=True)),
                (
                    "booked",
                    models.ForeignKey(
                        db_index=False,
                        help_text="What was booked.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.usagerecord",
                    ),
                ),
                (
                    "booked_by",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "price",
                    models.ForeignKey(
                        db_index=False,
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.price",
                    ),
                ),
                (
                    "record",
                    models.ForeignKey(
                        db_index=False,
                        help_text="What it corrects.",
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="billing.usagerecord",
                    ),
                ),
                (
                    "reconciliation",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="proposals",
                        to="billing.reconciliation",
                    ),
                ),
            ],
            options={
                "ordering": ["pk"],
                "indexes": [models.Index(fields=["day", "state"], name="proposal_day")],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("booked_at__isnull", False), ("booked_by__isnull", False), ("state", "booked")),
                            models.Q(
                                models.Q(("state", "booked"), _negated=True),
                                ("booked", None),
                                ("booked_at", None),
                                ("booked_by", None),
                            ),
                            _connector="OR",
                        ),
                        name="proposal_booked_by_somebody",
                    ),
                    models.CheckConstraint(
                        condition=models.Q(
                            models.Q(("act__in", ["correct", "reverse"]), ("record__isnull", False)),
                            models.Q(("act__in", ["adjust", "note"]), ("record", None)),
                            _connector="OR",
                        ),
                        name="proposal_names_its_record",
                    ),
                ],
            },
        ),
    ]
