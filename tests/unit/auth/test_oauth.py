"""What a hub may answer to a sign-in, and what the daemon makes of it: real HTTP, on TCP and over TLS."""

from __future__ import annotations

import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import pytest

from ferryd.auth import oauth as oauth_module
from ferryd.auth.oauth import OAuth, Refused
from ferryd.auth.tokens import Tokens
from ferryd.remote.http import HttpTransport
from ferrywire.reasons import FerryError
from tests.support.byte_server import Behaviour, ByteServer, Request, answer, reset, stall
from tests.support.tls import Certificate

SECRET = "fat_" + "c" * 43
REFRESH = "frt_" + "r" * 43
GRANT = {
    "device_code": "d" * 40,
    "user_code": "ABCD-EFGH",
    "verification_uri": "https://hub.example/device",
    "expires_in": 600,
    "interval": 5,
}
PAIR = {
    "access_token": SECRET,
    "refresh_token": REFRESH,
    "token_type": "Bearer",
    "expires_in": 3600,
    "scope": "read write",
}
PAGE = b"<!doctype html><title>Sign in to the network</title>"


def said(status: int, **fields: Any) -> Behaviour:
    return answer(status, json.dumps(fields).encode(), Content_Type="application/json")


def cut_short(request: Request) -> bool:
    request.read_body()
    request.sock.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 500\r\n\r\n{")
    return False


@pytest.fixture
async def hub() -> AsyncIterator[Callable[..., OAuth]]:
    """Makes the client of a server."""
    made: list[HttpTransport] = []

    def client(server: ByteServer) -> OAuth:
        made.append(HttpTransport(server.url))
        return OAuth(made[-1], server.url)

    yield client
    for transport in made:
        await transport.close()


Client = Callable[[ByteServer], OAuth]


async def fails(asked: Awaitable[object]) -> FerryError:
    with pytest.raises(FerryError) as caught:
        await asked
    assert SECRET not in f"{caught.value!r} {caught.value.metadata}"
    assert REFRESH not in f"{caught.value!r} {caught.value.metadata}"
    assert len(str(caught.value)) < 1000
    return caught.value


async def test_a_code_is_asked_for_by_a_form(hub: Client) -> None:
    forms: list[dict[str, list[str]]] = []

    def give(request: Request) -> bool:
        forms.append(parse_qs(request.read_body().decode()))
        request.reply(200, json.dumps(GRANT).encode())
        return True

    with ByteServer(script=[give]) as server:
        grant = await hub(server).begin(("read", "write"))
        (request,) = server.seen
    assert (request.method, request.target) == ("POST", "/oauth/device_authorization")
    assert request.headers["content-type"] == "application/x-www-form-urlencoded"
    assert "authorization" not in request.headers
    assert forms == [{"client_id": ["ferryman"], "scope": ["read write"]}]
    assert (grant.user_code, grant.expires_in_s, grant.interval_s) == ("ABCD-EFGH", 600.0, 5.0)
    assert grant.verification_uri_complete == ""
    assert str(GRANT["device_code"]) not in repr(grant)


async def test_tokens_are_taken_whole(hub: Client) -> None:
    with ByteServer(script=[said(200, **PAIR)]) as server:
        tokens = await hub(server).exchange("d" * 40)
    assert (tokens.access_token, tokens.refresh_token, tokens.lifetime_s) == (SECRET, REFRESH, 3600.0)
    assert tokens.expires_at is not None
    assert tokens.scopes == ("read", "write")


async def test_a_hub_that_does_not_rotate_keeps_the_old_refresh_token_good(hub: Client) -> None:
    with ByteServer(script=[said(200, access_token=SECRET, token_type="bearer")]) as server:
        tokens = await hub(server).refresh(REFRESH)
    assert (tokens.refresh_token, tokens.expires_at, tokens.scopes) == (REFRESH, None, ())


@pytest.mark.parametrize("error", ["authorization_pending", "slow_down", "expired_token", "access_denied"])
@pytest.mark.parametrize("status", [400, 401, 403])
async def test_the_errors_of_the_grant(hub: Client, error: str, status: int) -> None:
    with ByteServer(script=[said(status, error=error)]) as server, pytest.raises(Refused) as refused:
        await hub(server).exchange("d" * 40)
    assert refused.value.error == error


@pytest.mark.parametrize(
    "changed",
    [
        {"access_token": f"{SECRET}\nX-Evil: 1"},
        {"access_token": f"{SECRET}\r\n"},
        {"access_token": f"{SECRET} "},
        {"access_token": "fat_é" + "c" * 40},
        {"access_token": "x" * 5000},
        {"access_token": ""},
        {"access_token": None},
        {"access_token": [SECRET]},
        {"refresh_token": f"{REFRESH}\n"},
        {"refresh_token": {"a": 1}},
        {"token_type": "mac"},
        {"token_type": None},
        {"expires_in": -1},
        {"expires_in": "3600"},
        {"expires_in": 1e300},
        {"expires_in": float("nan")},
        {"expires_in": float("inf")},
        {"expires_in": 10**400},
        {"expires_in": True},
        {"expires_in": None},
        {"scope": "x" * 100_000},
        {"scope": ["read"]},
        {"scope": "read\x1b[2Jwrite"},
        {"scope": "\ud800"},
    ],
    ids=lambda changed: str(changed)[:40],
)
async def test_a_pair_that_makes_no_sense_is_not_kept(hub: Client, changed: dict[str, Any]) -> None:
    with ByteServer(script=[said(200, **PAIR | changed)]) as server:
        error = await fails(hub(server).refresh(REFRESH))
    assert error.reason == "HUB_UNREACHABLE", "so that it is tried again, and no sign-in is lost by it"
    assert "is it the hub" in error.message


@pytest.mark.parametrize(
    "changed",
    [
        {"user_code": "AB\x1b[31m"},
        {"user_code": "A" * 60},
        {"user_code": 12345678},
        {"verification_uri": "javascript:alert(1)"},
        {"verification_uri": "https://hub.example/\x1b]0;owned\x07"},
        {"verification_uri": "https://hub.example/" + "a" * 5000},
        {"device_code": "d\n" * 20},
        {"expires_in": -600},
        {"expires_in": "soon"},
        {"interval": -5},
        {"interval": float("nan")},
        {"interval": 1e18},
    ],
    ids=lambda changed: str(changed)[:40],
)
async def test_a_code_that_makes_no_sense_is_not_shown(hub: Client, changed: dict[str, Any]) -> None:
    with ByteServer(script=[said(200, **GRANT | changed)]) as server:
        error = await fails(hub(server).begin(("read",)))
    assert error.reason == "HUB_UNREACHABLE"
    assert "\x1b" not in error.message


async def test_an_odd_complete_address_is_left_out(hub: Client) -> None:
    with ByteServer(script=[said(200, **GRANT, verification_uri_complete="file:///etc/passwd")]) as server:
        assert (await hub(server).begin(("read",))).verification_uri_complete == ""


@pytest.mark.parametrize(
    "reply",
    [
        answer(200, PAGE, Content_Type="text/html"),
        answer(302, b"", Location="https://login.example/"),
        answer(307, b"", Location="http://127.0.0.1:9/oauth/token"),
        answer(401, PAGE, Content_Type="text/html"),
        answer(403, PAGE, Content_Type="text/html"),
        answer(404, PAGE, Content_Type="text/html"),
        answer(400, b'{"error": "\\u001b[2J"}'),
        answer(400, b'{"error": {"code": 1}}'),
        answer(200, b""),
        answer(200, b"[]"),
        answer(200, b"\xff\xfe"),
        answer(200, b"[" * 60_000),
        answer(200, b'{"expires_in": ' + b"9" * 5000 + b"}"),
        answer(200, b'{"access_token": "' + b"x" * 1_000_000 + b'"}'),
        reset,
        cut_short,
    ],
    ids=lambda _: "",
)
async def test_a_stranger_in_place_of_the_hub_is_waited_out(hub: Client, reply: Behaviour) -> None:
    """A proxy, a captive page, a hub that restarts: a sign-in that is to be renewed must survive them all."""
    with ByteServer(blob=b"", script=[reply]) as server:
        error = await fails(hub(server).refresh(REFRESH))
        assert len(server.seen) == 1, "no redirect is followed, and the token goes out once"
    assert error.reason == "HUB_UNREACHABLE"


async def test_a_body_without_end_is_cut_off(hub: Client) -> None:
    def endless(request: Request) -> bool:
        request.read_body()
        request.sock.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
        while not request.server.quitting.is_set():
            request.sock.sendall(b" " * (1 << 20))
        return False

    with ByteServer(script=[endless]) as server:
        error = await fails(hub(server).refresh(REFRESH))
    assert error.reason == "HUB_UNREACHABLE"


@pytest.mark.parametrize("status", [429, 500, 502, 503])
async def test_a_busy_hub_says_how_long(hub: Client, status: int) -> None:
    with ByteServer(script=[answer(status, PAGE, Retry_After="7")]) as server:
        error = await fails(hub(server).refresh(REFRESH))
    assert error.reason == ("RATE_LIMITED" if status == 429 else "HUB_OVERLOADED")
    assert error.retry_after_s == 7.0


async def test_a_hub_without_sign_in_by_code(hub: Client) -> None:
    with ByteServer(script=[answer(404, b"not found")]) as server:
        error = await fails(hub(server).begin(("read",)))
    assert error.reason == "UNIMPLEMENTED"
    assert "no Ferryman hub" in error.message
    assert "sign in with a token" in error.message


async def test_silence_ends(hub: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(oauth_module, "_TIMEOUT_S", 0.2)
    with ByteServer(script=[stall]) as server:
        error = await fails(hub(server).refresh(REFRESH))
    assert error.reason == "HUB_UNREACHABLE", "and not a deadline that nobody has set"


async def test_nobody_there(hub: Client) -> None:
    with ByteServer() as server:
        url = server.url
    gone = HttpTransport(url)
    error = await fails(OAuth(gone, url).refresh(REFRESH))
    await gone.close()
    assert error.reason == "HUB_UNREACHABLE"
    assert url in error.message


async def test_a_certificate_of_somebody_else(hub: Client, tmp_path: Path) -> None:
    certificate = Certificate(tmp_path)
    tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    tls.load_cert_chain(certificate.cert, certificate.key)
    with ByteServer(tls=tls, script=[said(200, **PAIR)]) as server:
        error = await fails(hub(server).refresh(REFRESH))
        assert server.seen == [], "the token has not left this machine"
    assert error.reason == "HUB_UNREACHABLE"
    assert "certificate" in error.message.lower()


async def test_revocation_takes_an_empty_answer(hub: Client) -> None:
    forms: list[dict[str, list[str]]] = []

    def take(request: Request) -> bool:
        forms.append(parse_qs(request.read_body().decode()))
        request.reply(200)
        return True

    with ByteServer(script=[take]) as server:
        await hub(server).revoke(REFRESH)
    assert forms == [{"client_id": ["ferryman"], "token": [REFRESH], "token_type_hint": ["refresh_token"]}]


def test_no_token_shows_itself() -> None:
    assert SECRET not in f"{Tokens(SECRET, REFRESH)!r}"
