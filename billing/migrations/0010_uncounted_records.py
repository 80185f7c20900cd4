"""What daily spend does not count yet is noted in a table of its own, by a trigger, not by a mark on each record.

The roll-up then reads records and writes none of them. The table of records is locked for the moment that it
takes to note those that wait now. By SQL: SQLite would make it anew, without its triggers.
"""

import django.db.models.deletion
from django.db import migrations, models

POSTGRESQL = """
LOCK TABLE billing_usagerecord IN ACCESS EXCLUSIVE MODE;
CREATE FUNCTION billing_record_is_settled() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    INSERT INTO billing_uncountedrecord (record_id) VALUES (NEW.id);
    RETURN NULL;
END $$;
CREATE TRIGGER usagerecord_is_settled AFTER UPDATE OF state ON billing_usagerecord
    FOR EACH ROW WHEN (NEW.state = 'settled' AND OLD.state <> 'settled') EXECUTE FUNCTION billing_record_is_settled();
CREATE TRIGGER usagerecord_is_booked AFTER INSERT ON billing_usagerecord
    FOR EACH ROW WHEN (NEW.state = 'settled') EXECUTE FUNCTION billing_record_is_settled();
"""
UNDO_POSTGRESQL = """
DROP TRIGGER usagerecord_is_settled ON billing_usagerecord;
DROP TRIGGER usagerecord_is_booked ON billing_usagerecord;
DROP FUNCTION billing_record_is_settled;
"""
NOTE = "BEGIN INSERT INTO billing_uncountedrecord (record_id) VALUES (NEW.id); END"
SQLITE = {
    "usagerecord_is_settled": "AFTER UPDATE OF state ON billing_usagerecord "
    f"WHEN NEW.state = 'settled' AND OLD.state <> 'settled' {NOTE}",
    "usagerecord_is_booked": f"AFTER INSERT ON billing_usagerecord WHEN NEW.state = 'settled' {NOTE}",
}
WAITING = """
INSERT INTO billing_uncountedrecord (record_id)
SELECT id FROM billing_usagerecord WHERE state = 'settled' AND NOT rolled_up
"""
MARK = """
UPDATE billing_usagerecord SET rolled_up = true
WHERE state = 'settled' AND id NOT IN (SELECT record_id FROM billing_uncountedrecord)
"""
INDEX = """
CREATE INDEX usagerecord_to_roll_up ON billing_usagerecord (id) WHERE state = 'settled' AND NOT rolled_up
"""


def make(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL, params=None)
        return
    for name, body in SQLITE.items():
        schema_editor.execute(f"CREATE TRIGGER {name} {body}", params=None)


def undo(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(UNDO_POSTGRESQL, params=None)
        return
    for name in SQLITE:
        schema_editor.execute(f"DROP TRIGGER {name}", params=None)


class Migration(migrations.Migration):
    dependencies = [("billing", "0009_words")]

    operations = [
        migrations.CreateModel(
            name="UncountedRecord",
            fields=[
                (
                    "record",
                    models.OneToOneField(
                        db_constraint=False,
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        related_name="uncounted",
                        serialize=False,
                        to="billing.usagerecord",
                        verbose_name="record",
                    ),
                ),
            ],
            options={"verbose_name": "uncounted record", "verbose_name_plural": "uncounted records"},
        ),
        migrations.RunPython(make, undo),
        migrations.RunSQL(WAITING, MARK),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                migrations.RunSQL("DROP INDEX usagerecord_to_roll_up", INDEX),
                migrations.RunSQL(
                    "ALTER TABLE billing_usagerecord DROP COLUMN rolled_up",
                    "ALTER TABLE billing_usagerecord ADD COLUMN rolled_up boolean NOT NULL DEFAULT false",
                ),
            ],
            state_operations=[
                migrations.RemoveIndex(model_name="usagerecord", name="usagerecord_to_roll_up"),
                migrations.RemoveField(model_name="usagerecord", name="rolled_up"),
            ],
        ),
    ]
