"""The broker in a folder, between a process that asks and one that works."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from kombu import Connection

from chatproject import stores
from tests.processes import ROOT

pytestmark = pytest.mark.once("embedded")

COUNT = 5000
ASK = """
import json, sys
import chatproject
from kombu import Connection
with Connection("filesystem://", transport_options=json.loads(sys.argv[1])) as connection:
    queue = connection.SimpleQueue("work")
    for number in range(int(sys.argv[2])):
        queue.put({"number": number})
"""


def test_every_message_arrives_whole(tmp_path: Path) -> None:
    options = stores.folder_broker(tmp_path)
    ask = [sys.executable, "-c", ASK, json.dumps(options), str(COUNT)]
    got = set()
    with (
        subprocess.Popen(ask, cwd=ROOT) as asking,
        Connection("filesystem://", transport_options=options | {"polling_interval": 0.001}) as connection,
    ):
        queue = connection.SimpleQueue("work")
        while len(got) < COUNT:
            message = queue.get(timeout=20)
            got.add(message.payload["number"])
            message.ack()
    assert asking.returncode == 0
    assert got == set(range(COUNT))
    assert list((tmp_path / "messages").iterdir()) == []
