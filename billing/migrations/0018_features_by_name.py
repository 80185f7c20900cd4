"""Names of features where they are kept, so that whatever shows one shows its name. Nothing changes in the tables."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("billing", "0017_proposals_name_nobody"),
    ]

    operations = [
        migrations.AlterField(
            model_name="dailyspend",
            name="feature",
            field=models.CharField(
                choices=[
                    ("chat", "chat"),
                    ("title", "title"),
                    ("adjustment", "adjustment"),
                    ("credit", "credit"),
                    ("write_off", "write-off"),
                ],
                max_length=20,
                verbose_name="feature",
            ),
        ),
        migrations.AlterField(
            model_name="dailytotal",
            name="feature",
            field=models.CharField(
                choices=[
                    ("chat", "chat"),
                    ("title", "title"),
                    ("adjustment", "adjustment"),
                    ("credit", "credit"),
                    ("write_off", "write-off"),
                ],
                max_length=20,
                verbose_name="feature",
            ),
        ),
        migrations.AlterField(
            model_name="usagerecord",
            name="feature",
            field=models.CharField(
                choices=[
                    ("chat", "chat"),
                    ("title", "title"),
                    ("adjustment", "adjustment"),
                    ("credit", "credit"),
                    ("write_off", "write-off"),
                ],
                default="chat",
                max_length=20,
                verbose_name="feature",
            ),
        ),
    ]
