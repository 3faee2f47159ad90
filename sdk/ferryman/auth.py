"""Signing in: who the daemon is signed in as, at which hub, and how that changes. Tokens stay with the daemon.

Pure functions make the calls; the two classes run them.
"""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterable
from contextlib import aclosing, closing
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from ferryapi.daemon.v1 import auth_service_pb2 as pb
from ferryman import arguments
from ferryman.call import Call
from ferryman.convert import moment
from ferryman.errors import DaemonError, DaemonTimeoutError, timed_out
from ferryman.reports import AuthStatus, DeviceCode

if TYPE_CHECKING:
    from ferryman.aio_channel import AsyncConnection
    from ferryman.channel import Connection

_SERVICE = "/ferryapi.daemon.v1.AuthService/"
#: Signing in and out ask the hub, which may be slow to answer, in seconds.
_HUB_S = 60.0


def auth_status_call(context: str | None = None) -> Call[AuthStatus]:
    """The call of `auth_status`."""
    request = pb.GetAuthStatusRequest(context=arguments.optional_text(context, "context"))
    return Call(f"{_SERVICE}GetAuthStatus", request, pb.AuthStatus, _auth_status)


def _login(hub: str | None, context: str | None, scopes: Iterable[str] | None) -> Call[AuthStatus | DeviceCode | None]:
    request = pb.LoginRequest(
        hub=arguments.optional_text(hub, "hub"),
        context=arguments.optional_text(context, "context"),
        scopes=arguments.texts(scopes, "scopes"),
    )
    return Call(f"{_SERVICE}Login", request, pb.LoginEvent, _login_event)


def _login_with_token(hub: str | None, token: str, context: str | None) -> Call[AuthStatus]:
    if not isinstance(token, str) or not token.strip():
        raise DaemonError(
            "invalid_argument", "token must be a text", reason="INVALID_ARGUMENT", metadata={"field": "token"}
        )
    request = pb.LoginWithTokenRequest(
        hub=arguments.optional_text(hub, "hub"),
        context=arguments.optional_text(context, "context"),
        token=token.strip(),
    )
    return Call(f"{_SERVICE}LoginWithToken", request, pb.AuthStatus, _auth_status, _HUB_S)


def _logout(context: str | None) -> Call[bool]:
    request = pb.LogoutRequest(context=arguments.optional_text(context, "context"))
    return Call(f"{_SERVICE}Logout", request, pb.LogoutResponse, lambda reply: bool(reply.revoked), _HUB_S)


def _auth_status(message: Any) -> AuthStatus:
    return AuthStatus(
        user_email=message.user_email,
        user_id=message.user_id,
        expires_at=moment(message, "expire_time"),
        hub=message.hub,
        context=message.context,
        scopes=list(message.scopes),
        storage=message.storage,
    )


def _login_event(message: Any) -> AuthStatus | DeviceCode | None:
    match message.WhichOneof("event"):
        case "signed_in":
            return _auth_status(message.signed_in)
        case "device_code":
            code = message.device_code
            return DeviceCode(
                user_code=code.user_code,
                verification_uri=code.verification_uri,
                verification_uri_complete=code.verification_uri_complete,
                expires_at=moment(code, "expire_time") or datetime.now(UTC),
            )
        case _:
            return None  # a step that this version does not know


def _unapproved(error: DaemonTimeoutError, began: float, timeout_s: float | None) -> DaemonTimeoutError:
    """What a sign-in that took too long says: the daemon's own words, or that our time since `began` is over."""
    if error.reason == "LOGIN_EXPIRED" or timeout_s is None or time.monotonic() - began < timeout_s:
        return error
    return timed_out(f"the sign-in was not approved within timeout_s ({timeout_s:g} s)")


def _ended() -> DaemonError:
    return DaemonError("cancelled", "the daemon ended the sign-in without an answer", reason="CANCELLED")


class Auth:
    """`client.auth`: sign in to hubs and out again. The daemon keeps the tokens and renews them; no script sees one.

    A *context* is a hub with a name and a sign-in of its own; see `client.contexts`.

    Example:
        client.auth.login("https://hub.example.org", on_code=lambda code: print(code.verification_uri, code.user_code))
    """

    def __init__(self, connection: Connection) -> None:
        self._connection = connection

    def status(self, context: str | None = None) -> AuthStatus:
        """Get who the daemon is signed in as; `context` names the context, default the current one.

        Errors: `unauthenticated` when it is not signed in, `not_found` for an unknown context, `unavailable` when the
        hub does not answer.

        Example:
            client.auth.status().user_email
        """
        return self._connection.run(auth_status_call(context))

    def login(
        self,
        hub: str | None = None,
        *,
        context: str | None = None,
        scopes: Iterable[str] | None = None,
        on_code: Callable[[DeviceCode], object],
        timeout_s: float | None = 600.0,
    ) -> AuthStatus:
        """Sign in by a code that you approve in a browser, on this or any other device; returns once it is approved.

        Arguments:
            hub: its address, `https://host`, `http://host:port` or `unix:/socket`; default that of the context.
            context: the context to sign in to, made if there is none of this name; default one named after the host.
            scopes: what the token may do; default `read` and `write`.
            on_code: called once with the code and the page to show to the user.
            timeout_s: how long to wait for the approval, in seconds; default 600, None as long as the hub allows.

        Transfers that wait for a sign-in there go on. A context that this makes becomes the current one. An exception
        in `on_code` gives the sign-in up. Errors: `permission_denied` when it is refused, `deadline_exceeded`,
        `unavailable` when the hub does not answer, `invalid_argument`, `failed_precondition` for a locked keyring.

        Example:
            client.auth.login("https://hub.example.org", on_code=lambda code: print(code.verification_uri_complete))
        """
        call, wait_s = _login(hub, context, scopes), arguments.seconds(timeout_s, "timeout_s")
        began = time.monotonic()
        try:
            with closing(self._connection.stream(call, wait_s)) as steps:
                for step in steps:
                    if isinstance(step, AuthStatus):
                        return step
                    if step is not None:
                        on_code(step)
        except DaemonTimeoutError as error:
            raise _unapproved(error, began, timeout_s) from None
        raise _ended()

    def login_with_token(self, hub: str | None, token: str, *, context: str | None = None) -> AuthStatus:
        """Sign in with a token made elsewhere, such as on the hub's page. It is checked, then kept by the daemon.

        `hub` and `context` are as in `Auth.login`. Errors: `unauthenticated` for a token that the hub does not know,
        `unavailable` when the hub does not answer, `invalid_argument`, `failed_precondition` for a locked keyring.

        Example:
            client.auth.login_with_token("https://hub.example.org", os.environ["HUB_TOKEN"])
        """
        return self._connection.run(_login_with_token(hub, token, context))

    def logout(self, context: str | None = None) -> bool:
        """Forget the tokens of a context, default the current one; True when the hub has revoked them as well.

        A token made elsewhere is only forgotten. Transfers of the context wait for the next login. Idempotent. Errors:
        `not_found` for an unknown context, `invalid_argument` for one whose token is FERRYMAN_TOKEN.

        Example:
            client.auth.logout()
        """
        return self._connection.run(_logout(context))


class AsyncAuth:
    """`client.auth` of `AsyncClient`: as `Auth`, awaited.

    Example:
        await client.auth.login("https://hub.example.org", on_code=lambda code: print(code.verification_uri_complete))
    """

    def __init__(self, connection: AsyncConnection) -> None:
        self._connection = connection

    async def status(self, context: str | None = None) -> AuthStatus:
        """Get who the daemon is signed in as, as `Auth.status`."""
        return await self._connection.run(auth_status_call(context))

    async def login(
        self,
        hub: str | None = None,
        *,
        context: str | None = None,
        scopes: Iterable[str] | None = None,
        on_code: Callable[[DeviceCode], object],
        timeout_s: float | None = 600.0,
    ) -> AuthStatus:
        """Sign in by a code that you approve in a browser, as `Auth.login`; `on_code` may be a coroutine function."""
        call, wait_s = _login(hub, context, scopes), arguments.seconds(timeout_s, "timeout_s")
        began = time.monotonic()
        try:
            async with aclosing(self._connection.stream(call, wait_s)) as steps:
                async for step in steps:
                    if isinstance(step, AuthStatus):
                        return step
                    if step is not None:
                        shown = on_code(step)
                        if inspect.isawaitable(shown):
                            await shown
        except DaemonTimeoutError as error:
            raise _unapproved(error, began, timeout_s) from None
        raise _ended()

    async def login_with_token(self, hub: str | None, token: str, *, context: str | None = None) -> AuthStatus:
        """Sign in with a token made elsewhere, as `Auth.login_with_token`."""
        return await self._connection.run(_login_with_token(hub, token, context))

    async def logout(self, context: str | None = None) -> bool:
        """Forget the tokens of a context, as `Auth.logout`."""
        return await self._connection.run(_logout(context))
