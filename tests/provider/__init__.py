"""A scripted provider: a real HTTP server that speaks OpenAI's chat-completions format and keeps its own bill.

It shares no code with the product, so that a test can compare the product's figures with it:

    with ScriptedProvider() as provider:
        provider.enqueue(Script(text="Hello there", delay_between=0.005, cut_after=1))
        ...  # the official SDK, or the product, with base_url=provider.base_url
        assert provider.wait_idle().total == Decimal("0.0000165")

`ProviderProcess` is the same in a process of its own, `RemoteProvider` attaches to one that runs.
A script can also come in a user's message: `Script(…).directive()`. All fields: `script.Script`.
"""

from tests.provider.bill import Bill, Row
from tests.provider.connection import Request
from tests.provider.remote import ProviderProcess, RemoteProvider
from tests.provider.script import Script
from tests.provider.server import ScriptedProvider

__all__ = ["Bill", "ProviderProcess", "RemoteProvider", "Request", "Row", "Script", "ScriptedProvider"]
