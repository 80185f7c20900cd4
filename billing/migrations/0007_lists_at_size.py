"""Indexes for lists of ten million rows; and one less for each hold, which the unique one covers."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("billing", "0006_the_token_that_asked")]

    operations = [
        migrations.AddIndex(
            model_name="budgetperiod", index=models.Index(fields=["start", "id"], name="budgetperiod_newest")
        ),
        migrations.RemoveIndex(model_name="budgetperiod", name="budgetperiod_start"),
        migrations.AddIndex(
            model_name="budget",
            index=models.Index(condition=models.Q(("limit__isnull", False)), fields=["id"], name="budget_with_a_limit"),
        ),
        migrations.AlterField(
            model_name="hold",
            name="record",
            field=models.ForeignKey(
                db_index=False,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="holds",
                to="billing.usagerecord",
            ),
        ),
    ]
