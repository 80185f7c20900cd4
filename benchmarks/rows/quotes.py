"""Ten thousand varied prompts on all priced OpenAI models: what each was billed against the quote shown before it.

Each is quoted and sent through the addresses that the page uses, and answered by the scripted provider, whose usage
is counted with the model's own vocabulary. Prompts, histories and answers follow from one seed.
"""

from __future__ import annotations

import asyncio
import logging
import random
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

from asgiref.sync import sync_to_async
from django.conf import settings
from django.test import AsyncClient
from django.utils import timezone
from genai_prices import Usage, calc_price

from accounts.models import Token, User
from benchmarks import prompts
from benchmarks.figures import Row, median
from benchmarks.stage import Stage
from billing import catalogue
from billing.models import Price
from conversations.models import Conversation, Message, Tier
from tests.provider import Script

PROMPTS, AT_ONCE, SEED = 10_000, 8, 20_261_125
CAP = 200  # output tokens: what is written is not what is varied here
_WORDS = "and so the count went on, line after line, 数 und mehr 🙂 "


@dataclass(slots=True)
class Tally:
    """What came of it so far."""

    sent: int = 0
    refused: int = 0
    above: list[str] = field(default_factory=list)
    ratios: list[float] = field(default_factory=list)
    models: set[str] = field(default_factory=set)

    def take(self, model: str, quoted: dict[str, Any], usage: dict[str, Any]) -> None:
        """One answer: its cost by our books and by the list itself, against its quote."""
        most, cost = Decimal(quoted["max_cost_usd"]), Decimal(usage["cost_usd"])
        listed = _listed(model, usage)
        self.sent += 1
        self.models.add(model)
        self.ratios.append(float(max(cost, listed) / most))
        if max(cost, listed) > most or usage["input_tokens"] > quoted["input_tokens"]:
            self.above.append(f"{model}: {usage} against {quoted}")


def measure(stage: Stage) -> list[Row]:
    """One row: how many cost more than their quote."""
    logging.getLogger("django.request").setLevel(logging.ERROR)  # some are refused, as their quotes say
    settings.ALLOWED_HOSTS = ["testserver"]  # what its client calls the site
    settings.CHAT_TITLES = False
    settings.CHAT_RATE_QUOTE = "1000000/m"
    settings.CHAT_MAX_OUTPUT_TOKENS = CAP
    before = settings.CHAT_MODELS
    try:
        tally = asyncio.run(_play(stage))
    finally:
        settings.CHAT_MODELS = before
    for line in tally.above[:5]:
        print(line, flush=True)
    detail = {
        "prompts": tally.sent, "models": len(tally.models), "largest_ratio": max(tally.ratios),
        "middle_ratio": median(tally.ratios), "refused_as_quoted": tally.refused, "seed": SEED,
    }  # fmt: skip
    print(", ".join(f"{name} {value}" for name, value in detail.items()), flush=True)
    what = f"of {tally.sent:,} varied prompts on {len(tally.models)} models, those that cost more than was quoted"
    return [Row(name="quotes", what=what, ours=len(tally.above), unit="", bar="0", met=not tally.above, detail=detail)]


async def _play(stage: Stage) -> Tally:
    chance = random.Random(SEED)  # noqa: S311
    tally = Tally()
    people = [await sync_to_async(_person)(number, chance) for number in range(AT_ONCE)]
    models = await sync_to_async(_models)()
    turn = 0
    while tally.sent < PROMPTS:
        settings.CHAT_MODELS = {"fast": models[turn % len(models)], "smart": models[(turn + 7) % len(models)]}
        turn += 1
        stage.provider.enqueue(*[_script(chance)] * len(people))
        await asyncio.gather(*(person.ask(tally) for person in people))
        stage.provider.reset()
    return tally


def _script(chance: random.Random) -> Script:
    words = _WORDS * 12 if chance.random() < 0.6 else _WORDS[: chance.randint(1, len(_WORDS))]
    thought = chance.choice((0, 0, 0, chance.randint(1, CAP)))
    return Script(text=words, delta_size=400, reasoning_tokens=thought, cached_tokens=chance.choice((0, 0, 64, 1024)))


def _models() -> list[str]:
    """The models that have a price of their own and a vocabulary that is known."""
    names = Price.objects.exclude(tokenizer=catalogue.UNKNOWN_TOKENIZER).values_list("model", flat=True).distinct()
    return sorted(names)


def _listed(model: str, usage: dict[str, Any]) -> Decimal:
    """Dollars for a usage by the published list itself, without our books."""
    of = Usage(
        input_tokens=usage["input_tokens"],
        cache_read_tokens=usage["cached_input_tokens"],
        output_tokens=usage["output_tokens"],
    )
    return calc_price(of, model, provider_id="openai").total_price


class Writer:
    """Someone who quotes and sends, in one conversation that grows and branches."""

    def __init__(self, conversation: Conversation, secret: str, seed: int) -> None:
        self._chance = random.Random(seed)  # noqa: S311
        self._conversation = conversation
        self._client = AsyncClient()
        self._headers = {"Authorization": f"Bearer {secret}"}
        self._answers: list[str | None] = [None]

    async def ask(self, tally: Tally) -> None:
        """One prompt: its quote, then the message itself, then what it cost."""
        chance = self._chance
        if chance.random() < 0.1:
            prompt = prompts.text(chance, most=1_500) if chance.random() < 0.7 else ""
            await Conversation.objects.filter(pk=self._conversation.pk).aupdate(system_prompt=prompt)
        tier = chance.choice(Tier.values)
        body: dict[str, Any] = {"content": prompts.text(chance), "tier": tier}
        if chance.random() < 0.3:
            body["parent"] = chance.choice(self._answers[-20:])
        quoted = await self._post("/api/quote/", {**body, "conversation": str(self._conversation.pk)}, 200)
        if not quoted["fits"]:
            tally.refused += 1
            await self._post(self._path, body, 400)
            return
        answer = await self._post(self._path, body, 201)
        tally.take(settings.CHAT_MODELS[tier], quoted, answer["usage"])
        self._answers.append(answer["message"]["id"])

    @property
    def _path(self) -> str:
        return f"/api/conversations/{self._conversation.pk}/messages/"

    async def _post(self, path: str, body: dict[str, Any], status: int) -> dict[str, Any]:
        response = await self._client.post(path, body, content_type="application/json", headers=self._headers)
        assert response.status_code == status, (response.status_code, response.content, body)
        found: dict[str, Any] = response.json()
        return found


def _person(number: int, chance: random.Random) -> Writer:
    """Someone whose conversation has a history of up to a hundred messages already, counted by no tokenizer yet."""
    now = timezone.now()
    user = User(email=f"quotes-{number}@example.com", password="!")  # nobody signs in with it
    user.save()
    conversation = Conversation.objects.create(user=user, created_at=now, updated_at=now)
    made: list[Message] = []
    for depth in range(2 * chance.randint(0, 50)):
        parent = made[-1] if made else None
        made.append(
            Message(
                conversation=conversation, parent=parent, depth=depth, role="assistant" if depth % 2 else "user",
                content=prompts.text(chance, most=1_500).replace("\0", ""), created_at=now,
            )
        )  # fmt: skip
    Message.objects.bulk_create(made)
    return Writer(conversation, Token.issue(user=user)[1], seed=SEED + number)
