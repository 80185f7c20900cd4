"""The account's pages: who may see and do what, personal tokens, second factors, sessions."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from typing import Any

import pytest
from allauth.mfa.models import Authenticator
from allauth.mfa.recovery_codes.internal.auth import RecoveryCodes
from allauth.usersessions.models import UserSession
from django.core.cache import cache
from django.test import Client
from django.utils import timezone
from websockets.exceptions import ConnectionClosed

from accounts import sealing, sessions, tokens
from accounts.adapter import AccountAdapter
from accounts.models import Token, User
from billing.models import Price
from tests.calls import at_once, make_price, spend
from tests.clients import by_token, signed_in
from tests.codes import code
from tests.conftest import PASSWORD
from tests.people import Person

pytestmark = [pytest.mark.django_db, pytest.mark.once("embedded")]

PAGES = ["profile", "email", "password/change", "2fa", "2fa/webauthn", "sessions", "tokens", "data", "delete"]


def come_in(user: User, agent: str = "", **headers: str) -> Client:
    """Signs in by the page itself."""
    client = Client(headers={"User-Agent": agent, **headers})
    response = client.post("/accounts/login/", {"login": user.email, "password": PASSWORD})
    assert response.status_code == 302
    return client


def prove(client: Client) -> None:
    """Shows once more that it is them."""
    assert client.post("/accounts/reauthenticate/", {"password": PASSWORD}).status_code == 302


# Who may


@pytest.mark.parametrize("page", PAGES)
def test_a_page_is_for_its_person_and_runs_no_inline_code(alice: User, page: str) -> None:
    path = f"/accounts/{page}/"
    denied = Client().get(path)
    assert (denied.status_code, denied.headers["Location"]) == (302, f"/accounts/login/?next={path}")
    html = signed_in(alice).get(path).content.decode()
    assert 'aria-current="page"' in html
    assert alice.email in html
    assert not re.search(r"<script(?![^>]*(src=|application/json))|<style|\sstyle=|\son[a-z]+=", html)


def test_who_changes_a_password_is_told_once_where_a_forgotten_one_is_reset(alice: User) -> None:
    page = signed_in(alice).get("/accounts/password/change/").content.decode()
    assert page.count('href="/accounts/password/reset/"') == 1


def test_what_is_anothers_does_not_exist(alice: User, charlie: User) -> None:
    come_in(alice)
    token, _ = Token.issue(user=alice)
    key = Authenticator.objects.create(user=alice, type=Authenticator.Type.WEBAUTHN, data={"name": "Key"})
    outsider = come_in(charlie)
    prove(outsider)
    session = UserSession.objects.get(user=alice)
    for path in (
        f"tokens/{token.pk}/revoke", f"sessions/{session.pk}/end", f"2fa/webauthn/keys/{key.pk}/remove",
        f"2fa/webauthn/keys/{key.pk}/edit", "tokens/0/revoke",
    ):  # fmt: skip
        assert outsider.post(f"/accounts/{path}/", {"name": "mine"}).status_code == 404, path
        nobody = Client().post(f"/accounts/{path}/")
        assert (nobody.status_code, nobody.headers["Location"][:15]) == (302, "/accounts/login"), path
    assert Client().get("/api/tokens/").status_code == 401
    assert by_token(charlie, "/api/tokens/").json()[0]["name"] == ""
    assert outsider.delete(f"/api/tokens/{token.pk}/").status_code == 404
    assert token.hint not in outsider.get("/accounts/tokens/").content.decode()
    assert Token.objects.get(pk=token.pk).holds(now=timezone.now())
    assert UserSession.objects.filter(pk=session.pk).exists()
    assert Authenticator.objects.get(pk=key.pk).data == {"name": "Key"}


def test_a_name_is_changed_and_nothing_else(alice: User) -> None:
    fields = {"name": "Alice L.", "email": "x@example.com", "is_staff": "on"}
    assert signed_in(alice).post("/accounts/profile/", fields).status_code == 302
    assert signed_in(alice).post("/accounts/profile/", {"name": "x" * 151}).status_code == 400
    stored = User.objects.get(pk=alice.pk)
    assert (stored.name, stored.email, stored.is_staff) == ("Alice L.", alice.email, False)


# Tokens


def test_a_token_is_shown_once_to_whoever_proves_who_they_are(alice: User, price: Price) -> None:
    client = come_in(alice)
    wanted = {"name": "Nightly <report>", "days": "7"}
    asked = client.post("/accounts/tokens/", wanted)
    assert asked.headers["Location"] == "/accounts/reauthenticate/?next=%2Faccounts%2Ftokens%2F"
    assert not Token.objects.exists()
    made = client.post("/accounts/reauthenticate/", {"password": PASSWORD, "next": "/accounts/tokens/"})
    html = made.content.decode()
    secret = re.findall(r">(chat_[\w-]+)</textarea>", html)[0]
    token = Token.objects.get()
    assert made.headers["Cache-Control"].startswith("max-age=0, no-cache, no-store")
    assert (token.name, token.digest, secret in str(vars(token))) == (wanted["name"], Token.hash(secret), False)
    assert token.expires_at is not None
    assert timedelta(days=6.9) < token.expires_at - timezone.now() < timedelta(days=7)
    spend(user=alice, price=price, token=token)
    again = client.get("/accounts/tokens/").content.decode()
    assert secret not in again
    assert "Nightly &lt;report&gt;" in again
    german = client.get("/accounts/tokens/", headers={"Accept-Language": "de"}).content.decode()
    assert '<option value="90" selected>90 Tage</option>' in german
    assert f"läuft am {token.expires_at:%d.%m.%Y, %H:%M} ab" in german
    assert '$0.00<span class="nano">2000000</span>' in again
    listed = Client().get("/api/tokens/", headers={"Authorization": f"Bearer {secret}"}).json()
    assert [(row["id"], row["spent_usd"], row["revoked_at"]) for row in listed] == [(token.pk, "0.002", None)]
    for _ in range(2):
        assert client.post(f"/accounts/tokens/{token.pk}/revoke/").status_code == 302
    assert Client().get("/api/tokens/", headers={"Authorization": f"Bearer {secret}"}).status_code == 401
    assert "revoked" in client.get("/accounts/tokens/").content.decode()


def test_a_program_revokes_its_own_token_and_makes_none(alice: User) -> None:
    token, secret = Token.issue(user=alice)
    program = Client(headers={"Authorization": f"Bearer {secret}"})
    assert program.post("/api/tokens/", {"name": "x"}, content_type="application/json").status_code == 405
    assert program.delete(f"/api/tokens/{token.pk}/").status_code == 204
    assert program.delete(f"/api/tokens/{token.pk}/").status_code == 401


@pytest.mark.parametrize(
    "wanted", [{"name": ""}, {"name": "x" * 101}, {"name": "x", "days": "36500"}, {"name": "a\0b"}]
)
def test_a_token_that_cannot_be(alice: User, wanted: dict[str, str]) -> None:
    client = come_in(alice)
    prove(client)
    assert client.post("/accounts/tokens/", wanted).status_code == 400
    assert not Token.objects.exists()


@pytest.mark.django_db(transaction=True)
def test_there_are_never_more_than_the_most(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "MOST", 3)
    now, connected = timezone.now(), threading.Barrier(5)

    def make(number: int) -> str:
        Token.objects.exists()  # connects, which takes a while
        connected.wait()
        try:
            tokens.issue(user=alice, name=f"{number}", days=None, now=now)
        except tokens.TooMany:
            return "refused"
        return "made"

    assert sorted(at_once(make, 5)) == ["made"] * 3 + ["refused"] * 2
    tokens.revoke(user=alice, token_id=Token.objects.latest("pk").pk, now=now)
    tokens.issue(user=alice, name="in its place", days=None, now=now)


def test_the_list_takes_as_many_queries_for_many(alice: User, django_assert_num_queries: Any) -> None:
    client = signed_in(alice)
    for count in (1, 20):
        for _ in range(count):
            Token.issue(user=alice)
        with django_assert_num_queries(4):  # session, user, tokens, spend
            assert client.get("/accounts/tokens/").status_code == 200


# Second factors


def test_signing_in_asks_for_the_second_factor(alice: User) -> None:
    client = come_in(alice)
    path = "/accounts/2fa/totp/activate/"
    assert client.get(path).headers["Location"].startswith("/accounts/reauthenticate/")
    prove(client)
    secret = re.findall(r"data-secret>(\w+)<", client.get(path).content.decode())[0]
    assert "Incorrect code" in client.post(path, {"code": "000000"}).content.decode()
    assert not Authenticator.objects.exists()
    assert client.post(path, {"code": code(secret)}).headers["Location"] == "/accounts/2fa/recovery-codes/"
    codes = re.findall(r"<li><code>(\d+)</code>", client.get("/accounts/2fa/recovery-codes/").content.decode())
    assert len(codes) == 10
    cache.clear()  # a code opens once; the half minute is not waited for
    for right in (code(secret), codes[0]):
        other = come_in(alice)
        assert other.get("/usage/").status_code == 302, "the password alone opens nothing"
        wrong = other.post("/accounts/2fa/authenticate/", {"code": "123"})
        assert "Incorrect code" in wrong.content.decode()
        assert other.post("/accounts/2fa/authenticate/", {"code": right}).headers["Location"] == "/"
        assert other.get("/usage/").status_code == 200
    used = come_in(alice)
    assert used.post("/accounts/2fa/authenticate/", {"code": codes[0]}).status_code == 200, "a recovery code opens once"


@pytest.mark.parametrize(
    ("kinds", "asked", "offered"),
    [
        ({"totp", "recovery_codes"}, "Enter the code of your authenticator app, or a recovery code.", set()),
        ({"totp"}, "Enter the code of your authenticator app.", set()),
        (
            {"webauthn", "recovery_codes"},
            "Use your passkey or security key, or enter a recovery code.",
            {"Use a key instead"},
        ),
        ({"webauthn"}, "Use your passkey or security key.", {"Use a key"}),
    ],
)
def test_only_the_factors_that_somebody_has_are_asked_for(
    alice: User, kinds: set[str], asked: str, offered: set[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allauth.mfa.webauthn.internal.auth.get_credentials", lambda user: [])  # which a browser makes
    for kind in kinds - {"recovery_codes"}:
        Authenticator.objects.create(user=alice, type=kind, data={"secret": "JBSWY3DPEHPK3PXP", "name": "Key"})
    if "recovery_codes" in kinds:
        RecoveryCodes.activate(alice)
    html = come_in(alice).get("/accounts/2fa/authenticate/").content.decode()
    assert f'<p class="soft">{asked}</p>' in html
    assert set(re.findall(r">(Use a key[^<]*)<", html)) == offered
    assert ('name="code"' in html) == (kinds != {"webauthn"})


def test_second_factors_are_sealed_and_open_under_a_key_that_was(alice: User, settings: Any) -> None:
    plain = partial(code, "JBSWY3DPEHPK3PXP")
    kept = Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": "JBSWY3DPEHPK3PXP"})
    seeds = RecoveryCodes.activate(alice)
    opening = seeds.generate_codes()[0]
    assert seeds.instance.data["seed"].startswith(sealing.MARK)
    sealed = ""
    for key, fallbacks in ((settings.SECRET_KEY, []), ("another key", [settings.SECRET_KEY])):
        settings.SECRET_KEY, settings.SECRET_KEY_FALLBACKS = key, fallbacks
        cache.clear()
        client = come_in(alice)
        assert client.post("/accounts/2fa/authenticate/", {"code": plain()}).headers["Location"] == "/"
        kept.refresh_from_db()
        assert kept.data["secret"].startswith(sealing.MARK)
        assert "JBSWY3DPEHPK3PXP" not in kept.data["secret"]
        assert kept.data["secret"] != sealed
        sealed = kept.data["secret"]
    settings.SECRET_KEY_FALLBACKS = []  # all has been sealed anew
    cache.clear()
    client = come_in(alice)
    assert client.post("/accounts/2fa/authenticate/", {"code": opening}).headers["Location"] == "/"
    settings.SECRET_KEY = "a key that nobody told of the one before"
    cache.clear()
    locked = come_in(alice)
    for wrong in (plain(), opening, "000000"):
        assert "Incorrect code" in locked.post("/accounts/2fa/authenticate/", {"code": wrong}).content.decode()


def test_the_admin_has_no_door_of_its_own_and_never_shows_a_secret(staff: User, alice: User) -> None:
    asked = Client().post("/admin/login/?next=/admin/", {"username": staff.email, "password": PASSWORD})
    assert asked.headers["Location"] == "/accounts/login/?next=%2Fadmin%2F"
    kept = Authenticator.objects.create(user=alice, type=Authenticator.Type.TOTP, data={"secret": "JBSWY3DPEHPK3PXP"})
    office = signed_in(staff)
    for path in ("", f"{kept.pk}/change/"):
        assert "JBSWY3DPEHPK3PXP" not in office.get(f"/admin/mfa/authenticator/{path}").content.decode()
    assert office.post(f"/admin/mfa/authenticator/{kept.pk}/delete/", {"post": "yes"}).status_code == 302
    assert not Authenticator.objects.exists(), "who has lost their phone is let in again"
    assert office.get("/admin/usersessions/usersession/").status_code == 404


# Sessions


FIREFOX = "Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0"
IPHONE = "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) AppleWebKit/605.1 Version/18.0 Mobile Safari/604.1"


def test_one_browser_is_signed_out_and_then_all_others(alice: User) -> None:
    desk, phone, old = come_in(alice, FIREFOX), come_in(alice, IPHONE), signed_in(alice)
    html = desk.get("/accounts/sessions/").content.decode()
    assert "Firefox on Linux" in html
    assert "Safari on iPhone" in html
    (other,) = UserSession.objects.filter(user=alice, user_agent=IPHONE)
    assert desk.post(f"/accounts/sessions/{other.pk}/end/").status_code == 302
    assert [client.get("/usage/").status_code for client in (desk, phone, old)] == [200, 302, 200]
    again = come_in(alice, IPHONE)
    assert desk.post("/accounts/sessions/end/").status_code == 302
    assert [client.get("/usage/").status_code for client in (desk, again, old)] == [200, 302, 302]
    assert [place.user_agent for place in UserSession.objects.filter(user=alice)] == [FIREFOX]


def test_an_open_socket_obeys_no_more_once_its_browser_is_signed_out(
    enter: Callable[..., Person], alice: User, session_cookie: Callable[[User], tuple[str, str]]
) -> None:
    desk, phone = (enter(alice, cookie=session_cookie(alice)) for _ in range(2))
    with phone.socket(phone.new_conversation()) as tab, desk.socket(desk.new_conversation()) as own:
        answer = desk.http.post("/accounts/sessions/end/")
        assert answer.status_code == 302
        tab.tell(type="send", content="Hello there")
        assert tab.refused()["code"] == "not_authenticated"
        with pytest.raises(ConnectionClosed):
            tab.next()
        own.tell(type="nonsense")
        assert own.refused()["code"] == "not_authenticated", "its session has a new key: the page connects again"
    assert desk.get("conversations/").status_code == 200
    assert phone.get("conversations/").status_code == 401


def test_being_seen_is_noted_now_and_then(alice: User, monkeypatch: pytest.MonkeyPatch) -> None:
    client = come_in(alice, FIREFOX)
    past = timezone.now() - timedelta(days=1)
    UserSession.objects.update(last_seen_at=past)
    for every, seen in ((timedelta(minutes=5), False), (timedelta(0), True)):
        monkeypatch.setattr(sessions, "SEEN_EVERY", every)
        for _ in range(2):
            client.get("/usage/")
        assert (UserSession.objects.get().last_seen_at != past) is seen


def test_cookies_that_anyone_can_make_up_do_not_bring_more_tries(alice: User) -> None:
    def tries(password: str) -> int:
        response = Client().post("/accounts/login/", {"login": alice.email, "password": password})
        return int(response.status_code)

    for _ in range(5):
        assert tries("wrong") == 200
    assert tries(PASSWORD) == 200, "too many have failed"
    stranger = Client()
    for number in range(400):
        stranger.get("/api/nothing/", headers={"Cookie": f"sessionid=nobody-has-{number:020}"})
    assert tries(PASSWORD) == 200
    assert not cache.get("session.seen.nobody-has-00000000000000000399")


@pytest.mark.parametrize(
    ("proxies", "forwarded", "address"),
    [(0, "198.51.100.1", "127.0.0.1"), (1, "spoofed, 198.51.100.1", "198.51.100.1"), (1, "nonsense", "0.0.0.0")],
)
def test_the_address_is_the_last_trusted_proxys_word(
    rf: Any, settings: Any, proxies: int, forwarded: str, address: str
) -> None:
    settings.TRUSTED_PROXIES = proxies
    assert AccountAdapter().get_client_ip(rf.get("/", headers={"X-Forwarded-For": forwarded})) == address


@pytest.fixture
def price(db: None) -> Price:
    return make_price()
