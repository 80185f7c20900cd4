"""A mail may go to an address that is nobody's yet. What still runs from before goes on writing mails without one."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0015_corrections_by_hand")]

    operations = [
        migrations.AddField(
            model_name="notice",
            name="to",
            field=models.EmailField(
                blank=True,
                db_default="",
                help_text="The address of a mail that is forgotten once it is sent; its text is sealed until then.",
                max_length=254,
                verbose_name="recipient",
            ),
        ),
    ]
