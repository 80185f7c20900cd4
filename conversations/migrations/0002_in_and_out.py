import conversations.models
import django.db.models.deletion
import django.db.models.expressions
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("conversations", "0001_initial"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="ImportPart",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                ("number", models.PositiveIntegerField()),
                ("content", models.BinaryField()),
            ],
        ),
        migrations.CreateModel(
            name="ImportRun",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=conversations.models.new_id, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("file_name", models.CharField(max_length=255)),
                ("size", models.PositiveBigIntegerField(help_text="Bytes of the file.")),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("waiting", "waiting"),
                            ("running", "running"),
                            ("done", "done"),
                            ("failed", "failed"),
                        ],
                        default="waiting",
                        max_length=7,
                    ),
                ),
                (
                    "total",
                    models.PositiveIntegerField(
                        help_text="Conversations in the file; null until it is checked.", null=True
                    ),
                ),
                (
                    "done",
                    models.PositiveIntegerField(
                        default=0, help_text="Conversations dealt with: the sum of the next three."
                    ),
                ),
                ("added", models.PositiveIntegerField(default=0)),
                ("existing", models.PositiveIntegerField(default=0, help_text="Were here already.")),
                ("skipped", models.PositiveIntegerField(default=0, help_text="Could not be read.")),
                (
                    "reasons",
                    models.JSONField(
                        default=list, help_text="Why some were skipped: title and reason of the first ones."
                    ),
                ),
                (
                    "error",
                    models.TextField(blank=True, help_text="Why nothing, or nothing more, of the file was taken."),
                ),
                ("attempts", models.PositiveSmallIntegerField(default=0, help_text="How often a worker began.")),
                ("created_at", models.DateTimeField()),
                ("started_at", models.DateTimeField(null=True)),
                ("finished_at", models.DateTimeField(null=True)),
                ("lease_owner", models.UUIDField(help_text="The worker that imports it.", null=True)),
                ("lease_expires_at", models.DateTimeField(null=True)),
            ],
        ),
        migrations.AddField(
            model_name="conversation",
            name="deleted_at",
            field=models.DateTimeField(
                help_text="Since when it waits to be deleted; until then it can be undone.", null=True
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="pinned",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="conversation",
            name="source",
            field=models.CharField(
                blank=True,
                choices=[("chatgpt", "ChatGPT"), ("openwebui", "Open WebUI"), ("own", "Company chat")],
                db_default="",
                default="",
                help_text="Where it was imported from.",
                max_length=10,
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="source_id",
            field=models.CharField(blank=True, db_default="", default="", help_text="Its id there.", max_length=200),
        ),
        migrations.AddField(
            model_name="conversation",
            name="temporary",
            field=models.BooleanField(db_default=False, default=False, help_text="Keeps no text, but what it cost."),
        ),
        migrations.AddConstraint(
            model_name="conversation",
            constraint=models.UniqueConstraint(
                condition=models.Q(("source", ""), _negated=True),
                fields=("user", "source", "source_id"),
                name="conversation_imported_once",
            ),
        ),
        migrations.AddField(
            model_name="importrun",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="imports", to=settings.AUTH_USER_MODEL
            ),
        ),
        migrations.AddField(
            model_name="importpart",
            name="run",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="parts", to="conversations.importrun"
            ),
        ),
        migrations.AddIndex(
            model_name="importrun",
            index=models.Index(fields=["user", "-id"], name="importrun_list"),
        ),
        migrations.AddConstraint(
            model_name="importrun",
            constraint=models.UniqueConstraint(
                condition=models.Q(("state__in", ("waiting", "running"))),
                fields=("user",),
                name="importrun_one_at_once",
            ),
        ),
        migrations.AddConstraint(
            model_name="importrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("lease_expires_at__isnull", False), ("lease_owner__isnull", False), ("state", "running")),
                    models.Q(
                        models.Q(("state", "running"), _negated=True), ("lease_expires_at", None), ("lease_owner", None)
                    ),
                    _connector="OR",
                ),
                name="importrun_running_is_leased",
            ),
        ),
        migrations.AddConstraint(
            model_name="importrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("finished_at__isnull", False), ("state__in", ("done", "failed"))),
                    models.Q(models.Q(("state__in", ("done", "failed")), _negated=True), ("finished_at", None)),
                    _connector="OR",
                ),
                name="importrun_finished_says_when",
            ),
        ),
        migrations.AddConstraint(
            model_name="importrun",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "done",
                        django.db.models.expressions.CombinedExpression(
                            django.db.models.expressions.CombinedExpression(
                                models.F("added"), "+", models.F("existing")
                            ),
                            "+",
                            models.F("skipped"),
                        ),
                    )
                ),
                name="importrun_adds_up",
            ),
        ),
        migrations.AddConstraint(
            model_name="importpart",
            constraint=models.UniqueConstraint(fields=("run", "number"), name="importpart_once"),
        ),
    ]
