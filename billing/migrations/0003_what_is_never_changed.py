"""What no program may do, ours included: change the trail, or a month that is closed.

A later migration that alters one of these tables on SQLite makes the table anew, and must put its
triggers back: `tests/test_closing.py` and `tests/test_acts.py` say so.
"""

from django.db import migrations

# Everything but what says nothing about money: the roll-up's mark, the link to a group that may be
# deleted (its name stays), and the name of a person, who can ask to be forgotten.
COLUMNS = (
    "id",
    "kind",
    "calls",
    "corrects_id",
    "reason",
    "booked_by_id",
    "user_id",
    "group_name",
    "feature",
    "model",
    "price_id",
    "key_fingerprint",
    "provider_request_id",
    "spend_date",
    "held_at",
    "settled_at",
    "state",
    "outcome",
    "measured",
    "input_bound",
    "output_cap",
    "hold",
    "cost",
    "over_hold",
    "input_tokens",
    "cached_input_tokens",
    "cache_write_tokens",
    "output_tokens",
    "reasoning_tokens",
    "extra_tokens",
    "unpriced_classes",
    "usage",
)
CLOSED = "this month is closed: book a correction in the open one"
TRAIL = "the trail of acts is only added to"
SEALED = "a closed month is not opened again"

POSTGRESQL = f"""
CREATE FUNCTION billing_month_is_closed() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF TG_OP <> 'INSERT' AND EXISTS (
        SELECT 1 FROM billing_monthclosing WHERE month = date_trunc('month', OLD.spend_date)::date
    ) OR TG_OP <> 'DELETE' AND EXISTS (
        SELECT 1 FROM billing_monthclosing WHERE month = date_trunc('month', NEW.spend_date)::date
    ) THEN
        RAISE EXCEPTION '{CLOSED}' USING ERRCODE = 'integrity_constraint_violation';
    END IF;
    RETURN CASE WHEN TG_OP = 'DELETE' THEN OLD ELSE NEW END;
END $$;
CREATE FUNCTION billing_never() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '%', TG_ARGV[0] USING ERRCODE = 'integrity_constraint_violation';
END $$;
CREATE TRIGGER usagerecord_month_is_closed BEFORE INSERT OR DELETE OR UPDATE OF {", ".join(COLUMNS)}
    ON billing_usagerecord FOR EACH ROW EXECUTE FUNCTION billing_month_is_closed();
CREATE TRIGGER act_is_kept BEFORE UPDATE OR DELETE ON billing_act
    FOR EACH ROW EXECUTE FUNCTION billing_never('{TRAIL}');
CREATE TRIGGER monthclosing_is_sealed BEFORE UPDATE ON billing_monthclosing
    FOR EACH ROW WHEN (OLD.closed_at IS NOT NULL) EXECUTE FUNCTION billing_never('{SEALED}');
CREATE TRIGGER monthclosing_is_kept BEFORE DELETE ON billing_monthclosing
    FOR EACH ROW EXECUTE FUNCTION billing_never('{SEALED}');
"""  # noqa: S608
UNDO_POSTGRESQL = """
DROP TRIGGER usagerecord_month_is_closed ON billing_usagerecord;
DROP TRIGGER act_is_kept ON billing_act;
DROP TRIGGER monthclosing_is_sealed ON billing_monthclosing;
DROP TRIGGER monthclosing_is_kept ON billing_monthclosing;
DROP FUNCTION billing_month_is_closed;
DROP FUNCTION billing_never;
"""


def _is_closed(row):
    return f"EXISTS (SELECT 1 FROM billing_monthclosing WHERE month = date({row}.spend_date, 'start of month'))"  # noqa: S608


SQLITE = {
    "usagerecord_add_to_closed": f"BEFORE INSERT ON billing_usagerecord WHEN {_is_closed('NEW')} "
    f"BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END",
    "usagerecord_change_closed": f"BEFORE UPDATE OF {', '.join(COLUMNS)} ON billing_usagerecord "
    f"WHEN {_is_closed('OLD')} OR {_is_closed('NEW')} BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END",
    "usagerecord_delete_closed": f"BEFORE DELETE ON billing_usagerecord WHEN {_is_closed('OLD')} "
    f"BEGIN SELECT RAISE(ABORT, '{CLOSED}'); END",
    "act_change": f"BEFORE UPDATE ON billing_act BEGIN SELECT RAISE(ABORT, '{TRAIL}'); END",
    "act_delete": f"BEFORE DELETE ON billing_act BEGIN SELECT RAISE(ABORT, '{TRAIL}'); END",
    "monthclosing_is_sealed": "BEFORE UPDATE ON billing_monthclosing WHEN OLD.closed_at IS NOT NULL "
    f"BEGIN SELECT RAISE(ABORT, '{SEALED}'); END",
    "monthclosing_is_kept": f"BEFORE DELETE ON billing_monthclosing BEGIN SELECT RAISE(ABORT, '{SEALED}'); END",
}


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
    dependencies = [("billing", "0002_corrections_closings_trail")]

    operations = [migrations.RunPython(make, undo)]
