"""An index by which the versions of a message are counted without reading them.

Messages are the largest table, and an index that is built the plain way keeps out whoever writes them. PostgreSQL
builds this one beside them, which takes no transaction: where that is cut off, an index is left that is kept up to date
and never used. So the next attempt begins by removing it.
"""

from django.db import migrations, models

INDEX = models.Index(fields=["conversation", "parent", "created_at", "id"], name="message_versions")


def make(apps, schema_editor):
    undo(apps, schema_editor)
    beside = {"concurrently": True} if schema_editor.connection.vendor == "postgresql" else {}
    schema_editor.add_index(apps.get_model("conversations", "Message"), INDEX, **beside)


def undo(apps, schema_editor):
    beside = "CONCURRENTLY " if schema_editor.connection.vendor == "postgresql" else ""
    schema_editor.execute(f"DROP INDEX {beside}IF EXISTS {INDEX.name}", params=None)


class Migration(migrations.Migration):
    atomic = False

    dependencies = [
        ("billing", "0014_one_form_acts_once"),
        ("conversations", "0004_words"),
    ]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, undo)],
            state_operations=[migrations.AddIndex(model_name="message", index=INDEX)],
        ),
    ]
