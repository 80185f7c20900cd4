"""Someone in front of the product's addresses, without a browser: by session, or by a personal token."""

from __future__ import annotations

from typing import Any

from asgiref.sync import async_to_sync
from django.test import Client

from accounts.models import Token, User


def signed_in(user: User) -> Client:
    client = Client()
    client.force_login(user)
    return client


def by_token(user: User, path: str, /, **query: Any) -> Any:
    _, secret = Token.issue(user=user)
    return Client().get(path, query, headers={"Authorization": f"Bearer {secret}"})


@async_to_sync
async def body(response: Any) -> bytes:
    return b"".join([piece async for piece in response])
