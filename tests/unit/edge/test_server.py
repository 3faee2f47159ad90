"""The gRPC edge on a real socket: descriptors become methods, errors become statuses, bytes are forwarded."""

from collections.abc import AsyncIterator
from pathlib import Path

import grpc
import grpc.aio
import pytest
from google.rpc import status_pb2

from ferryapi.daemon.v1 import auth_service_pb2
from ferryapi.hub.v1 import asset_service_pb2
from ferryd.rpc.forward import Forwarder
from ferryd.rpc.server import Activity, Handler, serve, service_handler
from ferrywire.reasons import FerryError
from ferrywire.status import TRAILER, from_status

AUTH = "/ferryapi.daemon.v1.AuthService/GetAuthStatus"
ASSET = "/ferryapi.hub.v1.AssetService/GetAsset"


class Auth:
    """An implementation that does what the test says."""

    service = auth_service_pb2.DESCRIPTOR.services_by_name["AuthService"]

    def __init__(self, outcome: auth_service_pb2.AuthStatus | Exception) -> None:
        self.outcome = outcome

    async def get_auth_status(self, _request: auth_service_pb2.GetAuthStatusRequest) -> auth_service_pb2.AuthStatus:
        if isinstance(self.outcome, Exception):
            raise self.outcome
        return self.outcome

    def __getattr__(self, _name: str) -> object:
        return self.get_auth_status


@pytest.fixture
async def socket_path(tmp_path: Path) -> AsyncIterator[Path]:
    yield tmp_path / "s"


async def call(socket_path: Path, method: str, body: bytes = b"") -> bytes:
    async with grpc.aio.insecure_channel(f"unix:{socket_path}") as channel:
        reply: bytes = await channel.unary_unary(method, None, None)(body, timeout=10)
        return reply


async def failure(socket_path: Path, method: str) -> tuple[grpc.StatusCode, FerryError]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call(socket_path, method)
    trailers = dict(caught.value.trailing_metadata())
    return caught.value.code(), from_status(status_pb2.Status.FromString(trailers[TRAILER]))


def auth_handler(outcome: auth_service_pb2.AuthStatus | Exception, activity: Activity) -> Handler:
    return service_handler(Auth(outcome), activity)


async def test_a_method_answers_and_the_socket_is_private(socket_path: Path) -> None:
    activity = Activity()
    async with serve(socket_path, [auth_handler(auth_service_pb2.AuthStatus(user_email="me@x"), activity)]):
        assert socket_path.stat().st_mode & 0o777 == 0o600
        reply = auth_service_pb2.AuthStatus.FromString(await call(socket_path, AUTH))
    assert reply.user_email == "me@x"
    assert activity.open_calls == 0


async def test_a_known_error_keeps_reason_and_metadata(socket_path: Path) -> None:
    error = FerryError("QUOTA_EXCEEDED", "full", freeBytes=1, neededBytes=2)
    async with serve(socket_path, [auth_handler(error, Activity())]):
        code, received = await failure(socket_path, AUTH)
    assert code is grpc.StatusCode.RESOURCE_EXHAUSTED
    assert (received.reason, received.metadata) == ("QUOTA_EXCEEDED", {"freeBytes": "1", "neededBytes": "2"})


async def test_an_unknown_error_shows_an_id_and_not_its_text(
    socket_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async with serve(socket_path, [auth_handler(RuntimeError("secret detail"), Activity())]):
        code, received = await failure(socket_path, AUTH)
    assert code is grpc.StatusCode.INTERNAL
    assert "secret" not in received.message
    assert received.metadata["errorId"] in caplog.text


async def test_forwarding_passes_the_bytes_untouched(socket_path: Path) -> None:
    seen = []

    async def hub(context: str, path: str, body: bytes, timeout_s: float) -> bytes:
        seen.append((path, body, timeout_s))
        return asset_service_pb2.Asset(title="t").SerializeToString()

    async with serve(socket_path, [Forwarder(hub, Activity())]):
        reply = await call(socket_path, ASSET, b"\x0a\x01x")
    assert asset_service_pb2.Asset.FromString(reply).title == "t"
    [(path, body, timeout_s)] = seen
    assert (path, body) == (ASSET, b"\x0a\x01x")
    assert 0 < timeout_s < 11


async def test_a_service_that_is_not_allowed_is_not_forwarded(socket_path: Path) -> None:
    async def hub(context: str, path: str, body: bytes, timeout_s: float) -> bytes:
        raise AssertionError(path)

    async with serve(socket_path, [Forwarder(hub, Activity())]):
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await call(socket_path, "/ferryapi.hub.v1.SecretService/Get")
    assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
