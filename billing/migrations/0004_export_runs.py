"""Exports that are made in the background, and an index for the calls that were counted here."""

import django.db.models.deletion
import uuid_utils.compat
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q


class Migration(migrations.Migration):
    dependencies = [
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
        ("billing", "0003_what_is_never_changed"),
    ]

    operations = [
        migrations.CreateModel(
            name="ExportRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=uuid_utils.compat.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("format", models.CharField(max_length=20)),
                ("focus_version", models.CharField(blank=True, max_length=10)),
                ("first", models.DateField(help_text="First spend date.")),
                ("last", models.DateField(help_text="Last spend date, included.")),
                ("filters", models.JSONField(default=dict)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "being made"),
                            ("done", "done"),
                            ("failed", "failed"),
                            ("cancelled", "cancelled"),
                        ],
                        default="waiting",
                        max_length=9,
                    ),
                ),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("ended_at", models.DateTimeField(null=True)),
                ("attempts", models.PositiveSmallIntegerField(default=0)),
                ("lease_owner", models.UUIDField(null=True)),
                ("lease_expires_at", models.DateTimeField(null=True)),
                ("error", models.CharField(blank=True, max_length=300)),
                (
                    "of",
                    models.BigIntegerField(
                        help_text="Usage records that there are; empty: not counted yet.", null=True
                    ),
                ),
                ("done", models.BigIntegerField(default=0, help_text="Usage records written so far.")),
                ("rows", models.BigIntegerField(help_text="Lines of data in the file.", null=True)),
                ("cost", models.BigIntegerField(help_text="Nano-dollars in the file.", null=True)),
                ("size", models.BigIntegerField(help_text="Bytes.", null=True)),
                ("sha256", models.CharField(blank=True, max_length=64, verbose_name="SHA-256")),
                (
                    "file_name",
                    models.CharField(blank=True, help_text="In the folder; empty: no longer there.", max_length=200),
                ),
                ("expires_at", models.DateTimeField(help_text="When the file goes.", null=True)),
                (
                    "user",
                    models.ForeignKey(
                        db_index=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "indexes": [
                    models.Index(condition=~Q(file_name=""), fields=["expires_at"], name="exportrun_with_a_file")
                ],
                "constraints": [
                    models.UniqueConstraint(
                        condition=Q(state="running"), fields=("state",), name="exportrun_one_at_a_time"
                    ),
                    models.CheckConstraint(
                        name="exportrun_state",
                        condition=Q(
                            state="running", lease_owner__isnull=False, lease_expires_at__isnull=False, ended_at=None
                        )
                        | Q(state="waiting", lease_owner=None, ended_at=None)
                        | Q(state__in=["failed", "cancelled"], ended_at__isnull=False, file_name="")
                        | Q(state="done", ended_at__isnull=False, rows__isnull=False, cost__isnull=False)
                        & Q(size__isnull=False, expires_at__isnull=False)
                        & ~Q(sha256=""),
                    ),
                ],
            },
        ),
        migrations.AddIndex(
            model_name="usagerecord",
            index=models.Index(condition=Q(measured="estimated"), fields=["spend_date"], name="usagerecord_estimated"),
        ),
    ]
