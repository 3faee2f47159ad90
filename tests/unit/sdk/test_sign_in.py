"""`client.auth.login` through a real channel: the code, the outcome, and what each way of not getting there says."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import grpc
import pytest
from google.protobuf.message import Message

from ferryapi.daemon.v1 import auth_service_pb2 as pb
from ferryman import AsyncClient, Client, DaemonError, DaemonTimeoutError, DeviceCode
from ferrywire.reasons import FerryError
from tests.unit.sdk.fake import FakeDaemon, abort, hang

LOGIN = "AuthService/Login"
TOKEN = "fat_" + "s" * 43
CODE = pb.LoginEvent(device_code=pb.DeviceCode(user_code="ABCD-EFGH", verification_uri="https://h.example/device"))
IN = pb.LoginEvent(signed_in=pb.AuthStatus(user_email="me@x.org", context="lab", scopes=["read"], storage="file"))
NEWER = pb.LoginEvent()


def say(daemon: FakeDaemon, *events: Message, then: FerryError | None = None) -> None:
    def run(context: grpc.ServicerContext) -> Iterator[Message]:
        yield from events
        if then is not None:
            abort(context, then)

    daemon.stream(LOGIN, run)


def login(client: Client, **options: Any) -> tuple[Any, list[DeviceCode]]:
    shown: list[DeviceCode] = []
    return client.auth.login("https://h.example", on_code=shown.append, **options), shown


def test_the_code_is_shown_once_and_the_status_returned(client: Client, daemon: FakeDaemon) -> None:
    say(daemon, CODE, NEWER, IN)
    status, shown = login(client, context="lab", scopes=["read"])
    assert (status.user_email, status.context, status.scopes, status.storage) == ("me@x.org", "lab", ["read"], "file")
    assert [code.user_code for code in shown] == ["ABCD-EFGH"]
    (sent,) = daemon.sent(LOGIN, pb.LoginRequest)
    assert (sent.hub, sent.context, list(sent.scopes)) == ("https://h.example", "lab", ["read"])


def test_what_the_daemon_says_is_passed_on(client: Client, daemon: FakeDaemon) -> None:
    for reason, kind in (("LOGIN_DENIED", DaemonError), ("LOGIN_EXPIRED", DaemonTimeoutError)):
        say(daemon, CODE, then=FerryError(reason, "its own words"))
        with pytest.raises(kind, match="its own words") as refused:
            login(client)
        assert refused.value.reason == reason


@pytest.mark.parametrize("timeout_s", [None, 600.0])
def test_a_hub_that_is_silent_is_not_an_approval_that_is_missing(
    client: Client, daemon: FakeDaemon, timeout_s: float | None
) -> None:
    say(daemon, CODE, then=FerryError("DEADLINE_EXCEEDED", "the hub did not answer GetIdentity within 20 s"))
    with pytest.raises(DaemonTimeoutError, match="did not answer GetIdentity"):
        login(client, timeout_s=timeout_s)


def test_nobody_approves(client: Client, daemon: FakeDaemon) -> None:
    daemon.stream(LOGIN, hang(threading.Event()))
    with pytest.raises(DaemonTimeoutError, match=r"not approved within timeout_s \(0.2 s\)"):
        login(client, timeout_s=0.2)


async def test_nobody_approves_awaited(daemon: FakeDaemon) -> None:
    daemon.stream(LOGIN, hang(threading.Event()))
    async with AsyncClient(auto_start=False) as client:
        with pytest.raises(DaemonTimeoutError, match=r"not approved within timeout_s \(0.2 s\)"):
            await client.auth.login(None, on_code=print, timeout_s=0.2)


async def test_a_coroutine_may_show_the_code(daemon: FakeDaemon) -> None:
    say(daemon, CODE, IN)
    shown: list[str] = []

    async def show(code: DeviceCode) -> None:
        await asyncio.sleep(0)
        shown.append(code.user_code)

    async with AsyncClient(auto_start=False) as client:
        assert (await client.auth.login(None, on_code=show)).user_email == "me@x.org"
    assert shown == ["ABCD-EFGH"]


def test_an_exception_in_on_code_gives_the_sign_in_up(client: Client, daemon: FakeDaemon) -> None:
    over = threading.Event()

    def run(context: grpc.ServicerContext) -> Iterator[Message]:
        context.add_callback(over.set)
        yield CODE
        over.wait(30)

    daemon.stream(LOGIN, run)

    def fail(_code: DeviceCode) -> None:
        raise LookupError("no screen")

    with pytest.raises(LookupError):
        client.auth.login(None, on_code=fail)
    assert over.wait(30), "the daemon hears of it"


def test_a_stream_without_an_end_is_said(client: Client, daemon: FakeDaemon) -> None:
    say(daemon, CODE)
    with pytest.raises(DaemonError, match="without an answer"):
        login(client)


@pytest.mark.parametrize("token", ["", "  \n", None, 7, b"fat_"])
def test_what_is_no_token_is_not_sent(client: Client, daemon: FakeDaemon, token: Any) -> None:
    with pytest.raises(DaemonError) as refused:
        client.auth.login_with_token(None, token)
    assert refused.value.reason == "INVALID_ARGUMENT"
    assert daemon.requests == []


def test_a_token_is_sent_as_it_is_and_shows_itself_nowhere(client: Client, daemon: FakeDaemon) -> None:
    from ferryman.auth import _login_with_token

    daemon.reply("AuthService/LoginWithToken", IN.signed_in)
    client.auth.login_with_token("https://h.example", f"{TOKEN}\n")
    (sent,) = daemon.sent("AuthService/LoginWithToken", pb.LoginWithTokenRequest)
    assert sent.token == TOKEN
    assert TOKEN not in repr(_login_with_token("https://h.example", TOKEN, None))
