"""A usage record keeps the number of its group when the group goes, and that of a closed month is fixed like the rest.

By SQL: SQLite would make the table anew, without its triggers, so there a column takes the other's place. PostgreSQL
only drops a constraint, for which the tables of records and of groups are locked for a moment.
"""

from django.db import migrations, models

CLOSED = "this month is closed: book a correction in the open one"
MONTH = "SELECT 1 FROM billing_monthclosing WHERE month = date(OLD.spend_date, 'start of month')"
# The name that 0001 gave it, the same on every PostgreSQL.
CONSTRAINT = "billing_usagerecord_group_id_a6271571_fk_auth_group_id"
FORGET = "UPDATE billing_usagerecord SET group_id = NULL WHERE group_id NOT IN (SELECT id FROM auth_group)"
REFERENCE = "REFERENCES auth_group (id) DEFERRABLE INITIALLY DEFERRED"
FIXED = "usagerecord_group_of_closed BEFORE UPDATE OF group_id ON billing_usagerecord"
PLACE = [
    "UPDATE billing_usagerecord SET group_place = group_id",
    "ALTER TABLE billing_usagerecord DROP COLUMN group_id",
    "ALTER TABLE billing_usagerecord RENAME COLUMN group_place TO group_id",
]
FORWARDS = {
    "postgresql": [
        f"ALTER TABLE billing_usagerecord DROP CONSTRAINT {CONSTRAINT}",
        f"CREATE TRIGGER {FIXED} FOR EACH ROW EXECUTE FUNCTION billing_month_is_closed()",
    ],
    "sqlite": [
        "ALTER TABLE billing_usagerecord ADD COLUMN group_place integer NULL",
        *PLACE,
        f"CREATE TRIGGER {FIXED} WHEN EXISTS ({MONTH}) BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END",
    ],
}
BACKWARDS = {
    "postgresql": [
        "DROP TRIGGER usagerecord_group_of_closed ON billing_usagerecord",
        FORGET,
        f"ALTER TABLE billing_usagerecord ADD CONSTRAINT {CONSTRAINT} FOREIGN KEY (group_id) {REFERENCE}",
    ],
    "sqlite": [
        "DROP TRIGGER usagerecord_group_of_closed",
        FORGET,
        f"ALTER TABLE billing_usagerecord ADD COLUMN group_place integer NULL {REFERENCE}",
        *PLACE,
    ],
}


def make(apps, schema_editor):
    for statement in FORWARDS[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


def undo(apps, schema_editor):
    for statement in BACKWARDS[schema_editor.connection.vendor]:
        schema_editor.execute(statement, params=None)


class Migration(migrations.Migration):
    dependencies = [("billing", "0012_reason_of_a_proposal")]

    operations = [
        migrations.SeparateDatabaseAndState(
            database_operations=[migrations.RunPython(make, undo)],
            state_operations=[
                migrations.RemoveField(model_name="usagerecord", name="group"),
                migrations.AddField(
                    model_name="usagerecord",
                    name="group_id",
                    field=models.IntegerField(
                        help_text="As it was when the call was held; the group may be gone.",
                        null=True,
                        verbose_name="number of the group",
                    ),
                ),
            ],
        ),
    ]
