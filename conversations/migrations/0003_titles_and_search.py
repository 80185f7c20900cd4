import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models
from django.db.models import Q

# On PostgreSQL each text carries its words, written by the database itself, so that nothing that writes
# text can forget them. Punctuation parts words; a word `@<user>` keeps every search among one's own.
# 200,000 characters are the most whose words are sure to fit a tsvector. SQLite: conversations/search.
POSTGRESQL = r"""
ALTER TABLE conversations_conversation ADD COLUMN words tsvector;
ALTER TABLE conversations_message ADD COLUMN words tsvector;

CREATE FUNCTION conversations_words(content text, whose bigint) RETURNS tsvector LANGUAGE sql STABLE AS $$
    SELECT to_tsvector('simple', regexp_replace(left(content, 200000), '[][!-/:-@\\^_`{-~]+', ' ', 'g'))
        || array_to_tsvector(ARRAY['@' || whose])
$$;

CREATE FUNCTION conversations_conversation_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := CASE WHEN NEW.title = '' OR NEW.temporary THEN NULL ELSE conversations_words(NEW.title, NEW.user_id) END;
    RETURN NEW;
END $$;

CREATE FUNCTION conversations_message_words() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    NEW.words := CASE WHEN NEW.content = '' THEN NULL ELSE (
        SELECT conversations_words(NEW.content, conversation.user_id) FROM conversations_conversation AS conversation
        WHERE conversation.id = NEW.conversation_id AND NOT conversation.temporary
    ) END;
    RETURN NEW;
END $$;

CREATE TRIGGER conversation_words BEFORE INSERT OR UPDATE OF title ON conversations_conversation
    FOR EACH ROW EXECUTE FUNCTION conversations_conversation_words();
CREATE TRIGGER message_words BEFORE INSERT OR UPDATE OF content ON conversations_message
    FOR EACH ROW EXECUTE FUNCTION conversations_message_words();

UPDATE conversations_conversation SET title = title;
UPDATE conversations_message SET content = content;

CREATE INDEX conversation_words ON conversations_conversation USING gin (words);
CREATE INDEX message_words ON conversations_message USING gin (words);
"""
POSTGRESQL_BACK = """
DROP TRIGGER message_words ON conversations_message;
DROP TRIGGER conversation_words ON conversations_conversation;
DROP FUNCTION conversations_message_words, conversations_conversation_words, conversations_words;
ALTER TABLE conversations_message DROP COLUMN words;
ALTER TABLE conversations_conversation DROP COLUMN words;
"""


def forwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL)


def backwards(apps, schema_editor):
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute(POSTGRESQL_BACK)


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0001_initial"),
        ("conversations", "0002_in_and_out"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="conversation",
            name="title_source",
            field=models.CharField(
                blank=True,
                choices=[("model", "a model"), ("person", "its user")],
                db_default="",
                default="",
                help_text="Who gave the title; empty: it is the first question's beginning.",
                max_length=6,
            ),
        ),
        migrations.AddField(
            model_name="conversation",
            name="title_record",
            field=models.OneToOneField(
                help_text="The call that was to name it.",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="named_conversation",
                to="billing.usagerecord",
            ),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(condition=Q(("pinned", True)), fields=["user"], name="conversation_pinned"),
        ),
        migrations.AddIndex(
            model_name="conversation",
            index=models.Index(
                condition=Q(("temporary", True), ("deleted_at__isnull", False), _connector="OR"),
                fields=["updated_at"],
                name="conversation_purge",
            ),
        ),
        migrations.RunPython(forwards, backwards),
    ]
