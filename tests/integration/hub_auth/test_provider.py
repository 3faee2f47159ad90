"""Signing in at an OpenID provider: who gets in, who does not, and everything that could go wrong on the way."""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from joserfc.jwk import RSAKey
from sqlalchemy import URL

from tests.integration.hub_auth.conftest import PASSWORD, PEOPLE, change, identity, kept
from tests.support import openid
from tests.support.hubs import HubServer
from tests.support.openid import CLIENT_ID, CLIENT_SECRET, Claims, HttpStatus, OpenIdProvider, state_of, with_fields
from tests.support.ports import free_port
from tests.support.signin import Browser, Device

pytestmark = pytest.mark.slow

DISCOVERY = "/.well-known/openid-configuration"


def options(provider: OpenIdProvider, url: str, secret_file: Path) -> tuple[str, ...]:
    secret_file.write_text(CLIENT_SECRET + "\n")
    provider.redirect_uri = f"{url}/device/callback"
    known = ("--oidc-issuer", provider.url, "--oidc-client-id", CLIENT_ID, "--oidc-name", "The University")
    return ("--public-url", url, *known, "--oidc-client-secret-file", str(secret_file), "--device-interval", "0")


@pytest.fixture(scope="module")
def served() -> Iterator[OpenIdProvider]:
    with openid.provider() as provider:
        yield provider


@pytest.fixture(scope="module")
def hub(
    tmp_path_factory: pytest.TempPathFactory, served: OpenIdProvider, hub_database: URL | None
) -> Iterator[HubServer]:
    """A hub with the provider, on which whoever is of new.org is made a user."""
    root, url = tmp_path_factory.mktemp("oidc"), f"http://127.0.0.1:{free_port()}"
    words = (*options(served, url, root / "secret"), "--oidc-new-users-of", "New.org")
    server = HubServer(root / "hub", *words, database=hub_database)
    server.url = url
    server.add_people(PASSWORD, *PEOPLE)
    yield server.start()
    server.stop()
    log = server.log.read_text()
    assert "Traceback (most recent call last)" not in log
    assert CLIENT_SECRET not in log
    assert "HTTP Request" not in log


@pytest.fixture
def provider(served: OpenIdProvider, hub: HubServer) -> Iterator[OpenIdProvider]:
    """Tells the truth about Ann, whom the hub has not seen come from there."""
    served.reset()
    change(hub, "DELETE FROM provider_links")
    yield served


def entered(page: httpx.Response) -> bool:
    return page.status_code == 200 and "Signed in as" in page.text


def arrive(browser: Browser) -> httpx.Response:
    """To the provider and back."""
    return browser.come_back(browser.at_provider(browser.leave()))


def refused(browser: Browser, status: int, says: str) -> bool:
    page = arrive(browser)
    assert (page.status_code, says in page.text) == (status, True), page.text
    assert browser.cookie == "" or not entered(browser.open())
    return True


def as_person(provider: OpenIdProvider, **claims: Any) -> None:
    provider.person = {**provider.person, **claims}


def test_a_device_is_approved_by_who_signed_in_there(
    hub: HubServer, provider: OpenIdProvider, browser: Browser, device: Device, client: httpx.Client
) -> None:
    device.start()
    asked = browser.sign_in_at_provider(device.user_code)
    assert "Approve this device?" in asked.text
    assert device.user_code in asked.text
    assert "Approved" in browser.send(action="approve").text
    tokens = device.poll().json()
    assert identity(client, tokens["access_token"]).json()["email"] == "ann@x.org"
    assert client.get("/device").text.count("Sign in with The University") == 1


def test_a_link_holds_whatever_becomes_of_the_address(hub: HubServer, provider: OpenIdProvider) -> None:
    for claims in ({}, {"email": "bob@x.org"}, {"email": "ann@x.org", "email_verified": False}, {"email": ""}):
        as_person(provider, **claims)
        with Browser(hub.url) as browser:
            browser.sign_in_at_provider()
            assert "Signed in as <strong>ann@x.org" in browser.open().text


@pytest.mark.parametrize(
    ("claims", "says"),
    [
        ({"email_verified": False}, "verified"),
        ({"email_verified": "false"}, "verified"),
        ({"email_verified": None}, "verified"),
        ({"email_verified": 1.5}, "verified"),
        ({"email": None}, "verified"),
        ({"email": ["ann@x.org"]}, "verified"),
        # KELVIN SIGN, whose small letter is k.
        ({"email": "ann@new.org".replace("n", "\u212a")}, "verified"),
        ({"email": "stranger@x.org"}, "no account"),
        ({"email": "stranger@sub.new.org"}, "no account"),
        ({"email": "stranger@new.org.evil.org"}, "no account"),
        ({"email": "stranger@evil.org@new.org"}, "verified"),
        ({"email": "new.org"}, "verified"),
        ({"email": "robot"}, "no account"),
    ],
)
def test_who_is_nobody_here(provider: OpenIdProvider, browser: Browser, claims: Claims, says: str) -> None:
    as_person(provider, **claims)
    assert refused(browser, 403, says)


def test_new_people_of_a_trusted_domain_are_made_users(hub: HubServer, provider: OpenIdProvider) -> None:
    as_person(provider, sub="2001", email="Zoe@NEW.org", email_verified="true", name="Zoe <b>")
    with Browser(hub.url) as browser:
        assert "Signed in as <strong>Zoe &lt;b&gt;" in browser.sign_in_at_provider().text
    listed = [line for line in hub.command("users", "list").splitlines() if "zoe@new.org" in line]
    assert len(listed) == 1
    assert "no password" in listed[0]
    # Without being made anew.
    with Browser(hub.url) as browser:
        assert entered(browser.sign_in_at_provider())


def test_an_address_that_went_to_somebody_else_is_not_theirs(
    hub: HubServer, provider: OpenIdProvider, browser: Browser
) -> None:
    assert entered(browser.sign_in_at_provider())
    as_person(provider, sub="1002")
    with Browser(hub.url) as other:
        assert refused(other, 403, "another account")
    hub.command("users", "unlink", "ann@x.org")
    with Browser(hub.url) as other:
        assert entered(other.sign_in_at_provider())


@pytest.mark.parametrize("seen", [True, False])
def test_who_is_shut_out_stays_out(hub: HubServer, provider: OpenIdProvider, browser: Browser, seen: bool) -> None:
    if seen:
        assert entered(browser.sign_in_at_provider())
    hub.command("users", "disable", "ann@x.org")
    try:
        with Browser(hub.url) as other:
            assert refused(other, 403, "is shut")
        assert not entered(browser.open())
    finally:
        hub.command("users", "enable", "ann@x.org")


def _claims(**changes: Any) -> Any:
    return lambda claims: {name: value for name, value in {**claims, **changes}.items() if value is not ...}


@pytest.mark.parametrize(
    "lie",
    [
        _claims(nonce="another"),
        _claims(nonce=...),
        _claims(aud="another"),
        _claims(aud=[]),
        _claims(aud=[CLIENT_ID, "another"]),
        _claims(aud=[CLIENT_ID, "another"], azp="another"),
        _claims(iss="https://evil.org"),
        _claims(iss=...),
        _claims(iss=["https://evil.org", "http://127.0.0.1"]),
        _claims(exp=int(time.time()) - 3600),
        _claims(exp=...),
        _claims(iat=...),
        _claims(nbf=int(time.time()) + 86400),
        _claims(sub=""),
        _claims(sub=...),
        _claims(sub=7),
        _claims(sub="x" * 256),
        _claims(at_hash="another"),
    ],
)
def test_claims_that_are_not_right(provider: OpenIdProvider, browser: Browser, lie: Any) -> None:
    provider.claims = lie
    assert refused(browser, 502, "cannot be trusted")


def _public_key_as_secret(provider: OpenIdProvider) -> Any:
    return lambda claims: openid.with_shared_secret(claims, provider.key.as_pem(private=False))


def _strangers_key(provider: OpenIdProvider) -> Any:
    stranger = RSAKey.generate_key(2048, {"kid": "first"})
    return lambda claims: provider.signed(claims, key=stranger)


def _key_in_the_token(provider: OpenIdProvider) -> Any:
    from joserfc import jwt

    stranger = RSAKey.generate_key(2048, {"kid": "mine"})
    header = {"alg": "RS256", "kid": "mine", "jwk": stranger.as_dict(private=False)}
    return lambda claims: jwt.encode(header, claims, stranger)


def _client_secret_as_key(_: OpenIdProvider) -> Any:
    return lambda claims: openid.with_shared_secret(claims, CLIENT_SECRET.encode())


@pytest.mark.parametrize(
    "forge",
    [
        lambda _: openid.unsigned,
        lambda provider: lambda claims: openid.unsigned(claims) + "AAAA",
        lambda provider: lambda claims: provider.signed(claims)[:-8] + "AAAAAAAA",
        lambda _: lambda claims: "",
        lambda _: lambda claims: "no.token",
        _public_key_as_secret,
        _client_secret_as_key,
        _strangers_key,
        _key_in_the_token,
    ],
)
def test_signatures_that_are_not_the_providers(provider: OpenIdProvider, browser: Browser, forge: Any) -> None:
    provider.sign = forge(provider)
    assert refused(browser, 502, "cannot be trusted")


def test_a_new_key_is_asked_for(hub: HubServer, provider: OpenIdProvider, browser: Browser) -> None:
    assert entered(browser.sign_in_at_provider())
    provider.key, kept = RSAKey.generate_key(2048, {"kid": "second", "use": "sig"}), provider.key
    try:
        with Browser(hub.url) as other:
            assert entered(other.sign_in_at_provider())
        assert "/jwks" in provider.asked
    finally:
        provider.key = kept


def test_an_address_that_only_userinfo_tells(provider: OpenIdProvider, browser: Browser) -> None:
    provider.claims = _claims(email=..., email_verified=...)
    assert entered(browser.sign_in_at_provider())
    assert "/userinfo" in provider.asked


def test_userinfo_about_somebody_else_is_refused(provider: OpenIdProvider, browser: Browser) -> None:
    provider.claims = _claims(email=..., email_verified=...)
    provider.lies["/userinfo"] = lambda about: {**about, "sub": "1009"}
    assert refused(browser, 502, "cannot be trusted")


@pytest.mark.parametrize(
    "fields",
    [
        {"iss": "https://evil.org"},
        {"iss": ""},
        {"iss": None},
    ],
)
def test_a_code_of_another_issuer_is_not_sent_to_ours(provider: OpenIdProvider, browser: Browser, fields: Any) -> None:
    back = with_fields(browser.at_provider(browser.leave()), **fields)
    assert browser.come_back(back).status_code == 502
    assert "/token" not in provider.asked


@pytest.mark.parametrize("fields", [{"state": "x"}, {"state": ""}, {"state": None}, {"state": "\u00e4"}])
def test_a_state_that_is_not_this_browsers(provider: OpenIdProvider, browser: Browser, fields: Any) -> None:
    page = browser.come_back(with_fields(browser.at_provider(browser.leave()), **fields))
    assert (page.status_code, "start again" in page.text) == (403, True)
    assert "/token" not in provider.asked


def test_an_answer_counts_once_and_in_its_browser_alone(
    hub: HubServer, provider: OpenIdProvider, browser: Browser
) -> None:
    back = browser.at_provider(browser.leave())
    with Browser(hub.url) as victim:
        # Somebody is made to follow the attacker's link, to be signed in as the attacker.
        assert victim.come_back(back).status_code == 403
        victim.leave()
        assert victim.come_back(back).status_code == 403
        assert not entered(victim.open())
    kept = browser.visit_cookie
    assert browser.come_back(back).status_code == 200
    assert browser.visit_cookie == ""
    browser.visit_cookie = kept
    again = browser.come_back(back)
    assert (again.status_code, "start again" in again.text) == (403, True)
    assert provider.asked.count("/token") == 1


def test_a_visit_ends_after_its_time(hub: HubServer, provider: OpenIdProvider, browser: Browser) -> None:
    back = browser.at_provider(browser.leave())
    change(hub, "UPDATE provider_visits SET expires_at = 1")
    assert browser.come_back(back).status_code == 403
    assert "/token" not in provider.asked


def test_a_code_of_another_sign_in_is_not_accepted(hub: HubServer, provider: OpenIdProvider, browser: Browser) -> None:
    """The attacker puts their own code into the victim's answer: it does not fit the victim's code verifier."""
    with Browser(hub.url) as attacker:
        stolen = state_of(attacker.at_provider(attacker.leave()))["code"]
    page = browser.come_back(with_fields(browser.at_provider(browser.leave()), code=stolen))
    assert page.status_code == 502


def test_where_to_go_next_is_never_taken_from_the_request(
    provider: OpenIdProvider, browser: Browser, device: Device
) -> None:
    for code in ("https://evil.org", "//evil.org", "x&next=//evil.org", '"><script>', "BCDF-GHJK;x"):
        back = with_fields(browser.at_provider(browser.leave(code)), redirect_uri="https://evil.org", next="//evil.org")
        browser.come_back(back)
        assert browser.onward() in ("/device", "/device?user_code=BCDF-GHJK")
    secret = browser.visit_cookie
    assert "evil" not in secret
    back = browser.at_provider(browser.leave())
    browser.visit_cookie = browser.visit_cookie.partition(".")[0] + ".//evil.org"
    browser.come_back(back)
    assert browser.onward() == "/device"


@pytest.mark.parametrize(
    ("error", "status", "says"),
    [
        ("access_denied", 403, "cancelled"),
        ("server_error", 502, "cannot be trusted"),
        ("temporarily_unavailable", 503, "try again"),
        ("<script>", 502, "cannot be trusted"),
        (None, 502, "cannot be trusted"),
    ],
)
def test_the_provider_sends_somebody_back_without_a_code(
    provider: OpenIdProvider, browser: Browser, error: str | None, status: int, says: str
) -> None:
    page = browser.come_back(with_fields(browser.at_provider(browser.leave()), code=None, error=error))
    assert (page.status_code, says in page.text, "<script" in page.text) == (status, True, False)


def _down(status: int) -> Any:
    def lie(_: Claims) -> Claims:
        raise HttpStatus(status)

    return lie


@pytest.mark.parametrize(
    ("path", "lie", "status"),
    [
        ("/token", _down(500), 503),
        ("/token", _down(429), 502),
        ("/token", lambda _: {"error": "invalid_grant"}, 502),
        ("/token", lambda answer: {**answer, "id_token": None}, 502),
        ("/token", lambda _: [], 502),
        ("/jwks", _down(503), 503),
        ("/jwks", lambda _: {}, 502),
        ("/jwks", lambda _: {"keys": ["x", 7]}, 502),
    ],
)
def test_a_provider_that_is_ill(
    tmp_path: Path, provider: OpenIdProvider, path: str, lie: Any, status: int, browser: Browser
) -> None:
    provider.lies[path] = lie
    # A key that the hub does not know yet.
    provider.key, kept = RSAKey.generate_key(2048, {"kid": path + str(status)}), provider.key
    try:
        assert arrive(browser).status_code == status
    finally:
        provider.key = kept


def test_a_browser_at_one_address_cannot_leave_for_ever(
    hub: HubServer, provider: OpenIdProvider, browser: Browser
) -> None:
    browser.leave()
    change(hub, "UPDATE attempts SET tries = 100")
    browser.open()
    assert browser.send(action="provider").status_code == 429


def test_leaving_needs_the_form_of_our_page(provider: OpenIdProvider, browser: Browser) -> None:
    browser.open()
    assert browser.post({"action": "provider"}).status_code == 403
    assert browser.visit_cookie == ""


def test_the_cookies_and_headers_of_both_pages(provider: OpenIdProvider, browser: Browser, device: Device) -> None:
    browser.open()
    away = browser.send(action="provider", user_code="bcdf ghjk")
    (cookie,) = away.headers.get_list("set-cookie")
    assert re.fullmatch(
        r"__Host-ferryhub-visit=[\w-]{47}\.BCDF-GHJK; Path=/; Secure; HttpOnly; SameSite=Lax; Max-Age=600", cookie
    )
    back = browser.come_back(browser.at_provider(browser.onward()))
    entered_cookie, gone = back.headers.get_list("set-cookie")
    assert re.fullmatch(
        r"__Host-ferryhub=[\w-]{47}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=900", entered_cookie
    )
    assert gone.endswith("SameSite=Lax; Max-Age=0")
    for page in (away, back):
        assert page.headers["content-security-policy"].startswith("default-src 'none'; style-src 'self'")
        assert (page.headers["referrer-policy"], page.headers["cache-control"]) == ("no-referrer", "no-store")


def test_a_refusal_does_not_sign_out_who_is_signed_in(
    hub: HubServer, provider: OpenIdProvider, browser: Browser
) -> None:
    assert entered(browser.sign_in_at_provider())
    assert browser.come_back(f"{hub.url}/device/callback?state=x").status_code == 403
    assert entered(browser.open())


def test_nothing_secret_is_kept_or_logged(hub: HubServer, provider: OpenIdProvider, browser: Browser) -> None:
    where = state_of(browser.leave())
    secret = browser.visit_cookie.partition("=")[2].partition(".")[0]
    back = browser.at_provider(browser.onward())
    found = kept(hub)
    browser.come_back(back)
    found += kept(hub) + hub.log.read_text()
    code = state_of(back)["code"]
    for each in (secret, where["state"], where["nonce"], code, CLIENT_SECRET, browser.cookie.partition("=")[2]):
        assert each not in found
