"""Takes people's names out of what comparisons with the provider have proposed so far.

These sentences are kept for good, and a person who has gone was still to be read there. The record that a proposal
names tells whose it is, by the pseudonym where somebody has gone. No sum and no hash of a closed month covers them.
"""

import re

from django.db import migrations

BATCH = 500
MONEY = r"-?\$[\d.,]+"
NAMED = [
    re.compile(
        rf"(usage record \d+) of .*(: the provider does not have it\.|, {MONEY}, becomes {MONEY}\.)$", re.DOTALL
    ),
    re.compile(
        rf"(Nutzungsdatensatz \d+) von .*( zurücknehmen: Der Anbieter hat ihn nicht\.|, {MONEY}, wird zu {MONEY}\.)$",
        re.DOTALL,
    ),
]


def nameless(sentence):
    for form in NAMED:
        sentence = form.sub(r"\1\2", sentence)
    return sentence


def forget(apps, schema_editor):
    alias = schema_editor.connection.alias
    proposals, comparisons = (
        apps.get_model("billing", name).objects.using(alias) for name in ("Proposal", "Reconciliation")
    )
    changed = []
    for proposal in proposals.exclude(record=None).only("sentence").order_by("pk"):
        sentence = nameless(proposal.sentence)
        if sentence != proposal.sentence:
            proposal.sentence = sentence
            changed.append(proposal)
    proposals.bulk_update(changed, ["sentence"], batch_size=BATCH)
    for comparison in comparisons.only("report").order_by("pk").iterator(chunk_size=20):
        named = False
        for difference in comparison.report.get("differences", []):
            before = difference.get("proposals", [])
            after = [nameless(sentence) for sentence in before]
            if before != after:
                difference["proposals"], named = after, True
        if named:
            comparison.save(using=alias, update_fields=["report"])


class Migration(migrations.Migration):
    dependencies = [("billing", "0016_mails_to_an_address")]

    operations = [migrations.RunPython(forget, migrations.RunPython.noop, elidable=True)]
