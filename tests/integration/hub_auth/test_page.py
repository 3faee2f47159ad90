"""The page: who gets in, what is limited, what every reply says to the browser, and that no form of others counts."""

from __future__ import annotations

import html.parser
import re

import httpx
import pytest

from tests.integration.hub_auth.conftest import PASSWORD, change
from tests.support.hubs import HubServer
from tests.support.signin import Browser, Device

pytestmark = pytest.mark.slow

CSP = "default-src 'none'; style-src 'self'; form-action 'self'; frame-ancestors 'none'; base-uri 'none'"


def wrong(reply: httpx.Response) -> bool:
    return reply.status_code == 403 and "E-mail address or password is wrong" in reply.text


@pytest.mark.parametrize(
    ("email", "password"),
    [
        ("ann@x.org", "wrong"),
        ("ann@x.org", ""),
        ("ann@x.org", PASSWORD + " "),
        ("ann@x.org", "x" * 5000),
        ("ann@x.org", "\udcff"),
        ("nobody@x.org", PASSWORD),
        ("", PASSWORD),
        ("bot", PASSWORD),
    ],
)
def test_wrong_is_wrong_whatever_is_wrong(browser: Browser, email: str, password: str) -> None:
    browser.open()
    form = {**browser.hidden(), "action": "sign_in", "email": email}
    assert wrong(browser.post({**form, "password": password.encode(errors="replace").decode()}))


def test_disabled_user(hub: HubServer, browser: Browser) -> None:
    hub.command("users", "disable", "bob@x.org")
    try:
        assert wrong(browser.sign_in("bob@x.org", PASSWORD))
    finally:
        hub.command("users", "enable", "bob@x.org")
    assert "Enter the code" in browser.sign_in(" Bob@X.org ", PASSWORD).text


def test_disabling_ends_what_a_browser_may(hub: HubServer, browser: Browser) -> None:
    assert "Signed in as" in browser.sign_in("bob@x.org", PASSWORD).text
    hub.command("users", "disable", "bob@x.org")
    try:
        assert "Signed in as" not in browser.open().text
    finally:
        hub.command("users", "enable", "bob@x.org")


def test_account_is_limited(hub: HubServer, browser: Browser) -> None:
    browser.open()
    for _ in range(10):
        assert wrong(browser.send(action="sign_in", email="bob@x.org", password="nonsense"))
    refused = browser.send(action="sign_in", email="BOB@x.org", password=PASSWORD)
    assert (refused.status_code, "Too many attempts" in refused.text) == (429, True)
    assert 0 < int(refused.headers["retry-after"]) <= 900
    # Somebody else at the same address still gets in; and Bob, later.
    with Browser(hub.url) as other:
        assert "Enter the code" in other.sign_in("ann@x.org", PASSWORD).text
    change(hub, "UPDATE attempts SET ends_at = 1")
    browser.open()
    assert "Enter the code" in browser.send(action="sign_in", email="bob@x.org", password=PASSWORD).text


def test_address_is_limited_and_good_sign_ins_do_not_count(hub: HubServer, browser: Browser) -> None:
    assert wrong(browser.sign_in("ann@x.org", "wrong"))
    change(hub, "UPDATE attempts SET tries = 19")
    for _ in range(3):
        assert browser.sign_in("bob@x.org", PASSWORD).status_code == 200
    assert wrong(browser.sign_in("nobody@x.org", "wrong"))
    assert browser.sign_in("bob@x.org", PASSWORD).status_code == 429


def test_codes_cannot_be_guessed(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD)
    for letter in "BCDFGHJKLM":
        assert browser.open(f"{letter * 4}-{letter * 4}").status_code == 404
    assert browser.open(device.user_code).status_code == 429
    assert device.poll().json()["error"] == "authorization_pending"


@pytest.mark.parametrize("typed", ["{}", " {} ", "lower", "no dash"])
def test_code_as_people_type_it(browser: Browser, device: Device, typed: str) -> None:
    device.start()
    code = {"lower": device.user_code.lower(), "no dash": device.user_code.replace("-", " ")}.get(
        typed, typed.format(device.user_code)
    )
    browser.sign_in("ann@x.org", PASSWORD)
    page = browser.open(code).text
    assert device.user_code in page
    assert "127.0.0.1" in page


def test_who_asks_from_elsewhere_is_shown(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD, device.user_code)
    near = browser.open(device.user_code).text
    assert "<strong>127.0.0.1</strong>" in near
    assert "another address" not in near
    # As a proxy on this machine would say it.
    with httpx.Client(base_url=hub.url, headers={"x-forwarded-for": "203.0.113.9"}) as remote:
        far = Device(remote)
        far.start()
    asked = browser.open(far.user_code).text
    assert "<strong>203.0.113.9</strong>" in asked
    assert "at another address, <strong>127.0.0.1</strong>" in asked


@pytest.mark.parametrize("spoil", ["none", "other", "empty", "cross-site", "no cookie"])
def test_form_of_another_page_is_refused(browser: Browser, device: Device, spoil: str) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD, device.user_code)
    form = {**browser.hidden(), "action": "approve"}
    headers = {"sec_fetch_site": "cross-site"} if spoil == "cross-site" else {}
    if spoil == "none":
        del form["csrf"]
    elif spoil in ("other", "empty"):
        form["csrf"] = "0" * 64 if spoil == "other" else ""
    elif spoil == "no cookie":
        browser.cookie = ""
    refused = browser.post(form, **headers)
    assert (refused.status_code, "Not accepted" in refused.text) == (403, True)
    assert device.poll().json()["error"] == "authorization_pending"


def test_form_seal_is_each_browsers_own(hub: HubServer, browser: Browser) -> None:
    with Browser(hub.url) as other:
        other.open()
        seal = other.hidden()["csrf"]
    browser.open()
    assert browser.send(csrf=seal, action="sign_in", email="ann@x.org", password=PASSWORD).status_code == 403


def test_cookie_changes_at_sign_in_and_is_worthless_after_sign_out(browser: Browser) -> None:
    browser.open()
    before = browser.cookie
    signed_in = browser.send(action="sign_in", email="ann@x.org", password=PASSWORD)
    assert browser.cookie != before
    attributes = signed_in.headers["set-cookie"].partition(";")[2]
    assert attributes == " Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age=900"
    kept = browser.cookie
    assert kept.startswith("__Host-ferryhub=")
    browser.send(action="sign_out")
    browser.cookie = kept
    assert "Signed in as" not in browser.open().text


def test_sign_in_ends_after_its_time(hub: HubServer, browser: Browser, device: Device) -> None:
    device.start()
    browser.sign_in("ann@x.org", PASSWORD, device.user_code)
    form = {**browser.hidden(), "action": "approve"}
    change(hub, "UPDATE browsers SET expires_at = 1")
    assert browser.post(form).status_code == 403
    assert device.poll().json()["error"] == "authorization_pending"


def test_every_reply_has_the_headers(browser: Browser, client: httpx.Client) -> None:
    replies = [
        browser.open(),
        browser.send(action="sign_in", email="ann@x.org", password="wrong"),
        browser.send(csrf=""),
        client.get("/device.css"),
        client.post("/oauth/token", data={}),
        client.post("/device", content=b"x"),
        client.delete("/device"),
    ]
    assert [reply.status_code for reply in replies] == [200, 403, 403, 200, 400, 400, 405]
    for reply in replies:
        assert reply.headers["content-security-policy"] == CSP
        assert reply.headers["x-content-type-options"] == "nosniff"
        assert reply.headers["x-frame-options"] == "DENY"
        assert reply.headers["referrer-policy"] == "no-referrer"
        assert "location" not in reply.headers
    assert all(reply.headers["cache-control"] == "no-store" for reply in replies if reply.url.path != "/device.css")


class _Outline(html.parser.HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))


def _outline(text: str) -> list[tuple[str, dict[str, str | None]]]:
    parser = _Outline()
    parser.feed(text)
    return parser.tags


def test_pages_can_be_used_by_everybody(browser: Browser, device: Device) -> None:
    device.start()
    pages = [browser.open(), browser.send(action="sign_in", email="a@x.org", password="wrong")]
    pages += [browser.sign_in("ann@x.org", PASSWORD), browser.open("BBBB-BBBB"), browser.open(device.user_code)]
    pages += [browser.send(action="approve")]
    for page in pages:
        tags = _outline(page.text)
        names = [tag for tag, _ in tags]
        assert dict(tags)["html"] == {"lang": "en"}
        assert (names.count("h1"), names.count("main"), names.count("title")) == (1, 1, 1)
        assert not {"script", "iframe", "img"} & set(names)
        assert not [attribute for _, attrs in tags for attribute in attrs if attribute.startswith(("on", "style"))]
        labelled = {attrs["for"] for tag, attrs in tags if tag == "label"}
        shown = {attrs["id"] for tag, attrs in tags if tag == "input" and attrs.get("type") != "hidden"}
        assert shown == labelled
        if page.status_code >= 400:
            assert 'role="alert"' in page.text


@pytest.mark.parametrize("hostile", ['"><script>alert(1)</script>', "{{ 7 * 7 }}", "' onfocus='x"])
def test_what_was_typed_is_shown_as_text(browser: Browser, hostile: str) -> None:
    for page in (browser.open(hostile), browser.sign_in("ann@x.org", PASSWORD, hostile)):
        assert "<script" not in page.text
        assert "49" not in re.sub(r'value="[0-9a-f]{64}"', "", page.text)
        assert {"script", "onfocus"}.isdisjoint({name for tag, attrs in _outline(page.text) for name in (tag, *attrs)})


def test_host_header_cannot_spoil_the_address(client: httpx.Client, device: Device) -> None:
    for host in ('x"><script>', "a/b", "a@b"):
        form = {"client_id": "ferryman"}
        assert client.post("/oauth/device_authorization", data=form, headers={"host": host}).status_code == 400


def test_embedded_paths_are_not_found(client: httpx.Client) -> None:
    assert client.get("/device/").status_code == 404
    assert client.get("/devices").status_code == 404
