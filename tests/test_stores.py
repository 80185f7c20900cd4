"""A Redis by whatever address an operator may give: the cache, the channel layer, the log and Celery all find it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import IPv4Address
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from django.core.cache import cache
from kombu import Connection
from kombu.exceptions import OperationalError

from chatproject import stores
from conversations import hints
from conversations.hints import Feed
from conversations.log import Delta
from conversations.log.redis import RedisHome
from tests import road
from tests.services import Redis

pytestmark = [pytest.mark.once("embedded"), pytest.mark.timeout(60)]


class LockedRedis(Redis):
    """On a port and a socket file, for whoever has a password that an address need not write in another way."""

    def __init__(self) -> None:
        super().__init__()
        self.socket = self.folder / "redis.sock"
        self.url = f"redis://:a,b@127.0.0.1:{self.port}/1"

    def command(self) -> list[str]:
        """As the cluster's, but locked."""
        return [*super().command(), "--unixsocket", str(self.socket), "--requirepass", "a,b"]


class SealedRedis(Redis):
    """Behind TLS, with a certificate that nobody has signed."""

    def __init__(self) -> None:
        super().__init__()
        self.certificate, self.key = self.folder / "certificate.pem", self.folder / "key.pem"
        sign(self.certificate, self.key)
        self.url = f"rediss://127.0.0.1:{self.port}/1?ssl_ca_certs={self.certificate}"

    def command(self) -> list[str]:
        """As the cluster's, but on no plain port."""
        command = super().command()
        command[command.index("--port") + 1] = "0"
        tls = ["--tls-port", str(self.port), "--tls-auth-clients", "no", "--tls-ca-cert-file", str(self.certificate)]
        return [*command, *tls, "--tls-cert-file", str(self.certificate), "--tls-key-file", str(self.key)]


def sign(certificate: Path, key: Path) -> None:
    """A certificate of 127.0.0.1 by its own key."""
    secret, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "redis")])
    made = (
        x509.CertificateBuilder(name, name, secret.public_key(), x509.random_serial_number())
        .not_valid_before(now - timedelta(hours=1))
        .not_valid_after(now + timedelta(hours=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(IPv4Address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .sign(secret, hashes.SHA256())
    )
    certificate.write_bytes(made.public_bytes(serialization.Encoding.PEM))
    key.write_bytes(
        secret.private_bytes(
            serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
        )
    )


@pytest.fixture(scope="module")
def locked() -> Iterator[LockedRedis]:
    with LockedRedis() as running:
        yield running


@pytest.fixture(scope="module")
def sealed() -> Iterator[SealedRedis]:
    with SealedRedis() as running:
        yield running


@pytest.fixture(params=["a password with a comma", "a socket file", "TLS"])
def address(request: pytest.FixtureRequest, locked: LockedRedis, sealed: SealedRedis) -> str:
    return {
        "a password with a comma": locked.url,
        "a socket file": f"unix://{locked.socket}?db=1&password=a%2Cb",
        "TLS": sealed.url,
    }[request.param]


def test_everything_finds_it(address: str, settings: Any) -> None:
    settings.REDIS_URL = address
    settings.CACHES, settings.CHANNEL_LAYERS = stores.cache_and_layer(address)
    reply = uuid4()

    async def scenario() -> tuple[Any, Delta | None]:
        home = RedisHome()
        await home.open(reply)
        await home.append(reply, Delta(start=0, end=5, content="Hello"), writer=reply)
        async with Feed("conversation.test") as feed:
            await hints.announce("conversation.test", {"n": 1})
            return await feed.receive(timeout=5), await home.read(reply, 0)

    assert road.run(scenario()) == ({"type": "hint", "n": 1}, Delta(start=0, end=5, content="Hello"))
    cache.set("here", "yes")
    assert cache.get("here") == "yes"
    with Connection(stores.broker(address)) as broker, broker.SimpleQueue("tasks") as queue:
        queue.put({"n": 1})
        assert queue.get(timeout=5).payload == {"n": 1}


def test_celery_too_looks_at_the_certificate(sealed: SealedRedis) -> None:
    unknown = f"rediss://127.0.0.1:{sealed.port}/1"
    with Connection(stores.broker(unknown)) as broker, pytest.raises(OperationalError, match="certificate"):
        broker.SimpleQueue("tasks").put({"n": 1})


@pytest.mark.parametrize(
    ("redis", "broker"),
    [
        ("redis://cache.internal", "redis://cache.internal/0"),
        ("redis://u:s%40c@cache.internal:6380/2?health_check_interval=30", "redis://u:s%40c@cache.internal:6380/2"),
        ("redis://cache.internal/1?db=3", "redis://cache.internal/3"),
        ("rediss://cache.internal:6380/1", "rediss://cache.internal:6380/1?ssl_cert_reqs=required"),
        ("rediss://cache.internal?ssl_cert_reqs=none", "rediss://cache.internal/0?ssl_cert_reqs=none"),
        ("unix:///run/redis.sock", "redis+socket:///run/redis.sock?virtual_host=0"),
        ("unix://u@/run/redis.sock?db=1&password=a%26b", "redis+socket://u:a%26b@/run/redis.sock?virtual_host=1"),
    ],
)
def test_how_celery_calls_it(redis: str, broker: str) -> None:
    assert stores.broker(redis) == broker
