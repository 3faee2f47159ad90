"""AuthService: who the daemon is signed in as, at which hubs, and how that changes. Not a step."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import aclosing

from google.protobuf import duration_pb2

from ferryapi.daemon.v1 import auth_service_pb2 as pb
from ferryd.auth.accounts import Accounts, Code, Listed, Status
from ferryd.rpc.convert import timestamp
from ferryd.rpc.server import asked_context


class AuthRpc:
    """The methods of AuthService; each name is the rpc's in snake_case."""

    service = pb.DESCRIPTOR.services_by_name["AuthService"]

    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def get_auth_status(self, request: pb.GetAuthStatusRequest) -> pb.AuthStatus:
        return _status(await self._accounts.status(request.context or asked_context()))

    async def login(self, request: pb.LoginRequest) -> AsyncIterator[pb.LoginEvent]:
        steps = self._accounts.login(request.hub, request.context, list(request.scopes), asked_context())
        async with aclosing(steps):  # type: ignore[type-var] # it is an async generator
            async for step in steps:
                if isinstance(step, Code):
                    yield pb.LoginEvent(device_code=_code(step))
                else:
                    yield pb.LoginEvent(signed_in=_status(step))

    async def login_with_token(self, request: pb.LoginWithTokenRequest) -> pb.AuthStatus:
        return _status(
            await self._accounts.login_with_token(request.hub, request.context, request.token, asked_context())
        )

    async def logout(self, request: pb.LogoutRequest) -> pb.LogoutResponse:
        return pb.LogoutResponse(revoked=await self._accounts.logout(request.context or asked_context()))

    async def list_contexts(self, _request: pb.ListContextsRequest) -> pb.ListContextsResponse:
        return pb.ListContextsResponse(contexts=[_context(one) for one in await self._accounts.list()])

    async def use_context(self, request: pb.UseContextRequest) -> pb.Context:
        return _context(await self._accounts.use(request.context))


def _status(status: Status) -> pb.AuthStatus:
    message = pb.AuthStatus(
        user_email=status.user_email,
        user_id=status.user_id,
        hub=status.context.hub,
        context=status.context.name,
        scopes=status.scopes,
        storage=status.storage,
    )
    if status.expires_at is not None:
        message.expire_time.CopyFrom(timestamp(status.expires_at))
    return message


def _code(code: Code) -> pb.DeviceCode:
    interval = duration_pb2.Duration()
    interval.FromMilliseconds(int(code.interval_s * 1000))
    return pb.DeviceCode(
        user_code=code.user_code,
        verification_uri=code.verification_uri,
        verification_uri_complete=code.verification_uri_complete,
        expire_time=timestamp(code.expires_at),
        interval=interval,
    )


def _context(one: Listed) -> pb.Context:
    return pb.Context(
        name=one.context.name,
        hub=one.context.hub,
        current=one.current,
        signed_in=one.signed_in,
        user_email=one.user_email,
    )
