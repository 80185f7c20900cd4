"""A comparison keeps how much it has seen that was corrected by hand, so that nobody books it once more."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0014_one_form_acts_once")]

    operations = [
        migrations.AddField(
            model_name="reconciliation",
            name="by_hand",
            field=models.JSONField(
                help_text="Corrections that it has seen and no proposal stands for, by day; empty: it did not look.",
                null=True,
                verbose_name="by hand",
            ),
        ),
    ]
