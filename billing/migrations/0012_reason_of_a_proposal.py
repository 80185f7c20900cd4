"""Why a proposal was booked: of one that holds a difference for explained no record keeps it."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0011_sums_at_hand")]

    operations = [
        migrations.AddField(
            model_name="proposal",
            name="reason",
            field=models.CharField(
                blank=True,
                db_default="",
                help_text="Why it was booked by hand.",
                max_length=500,
                verbose_name="reason",
            ),
        ),
    ]
