"""grpc itself: opens a channel to the daemon's socket and turns its failures into our exceptions. Upload step 2.

The only module that imports grpc; `channel.py` imports it when a connection is first needed.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import grpc
import grpc.aio

from ferryman.call import Call
from ferryman.errors import DaemonError, from_ferry, timed_out, unreachable

_OPTIONS: Final = (
    # Subchannels shared with other clients would share their back-off after a restart of the daemon.
    ("grpc.use_local_subchannel_pool", 1),
    ("grpc.enable_http_proxy", 0),
    ("grpc.default_authority", "localhost"),
    # A page of 50 assets may carry 1 MiB of metadata each.
    ("grpc.max_receive_message_length", 64 << 20),
)
#: grpc's words for a request that never left: nobody was there, or the connection was found dead.
_NOT_SENT: Final = ("failed to connect", "broken pipe")


class Wire:
    """An open channel and its prepared methods."""

    #: What a call on the channel raises; ValueError and UsageError are grpc's words for a channel closed meanwhile.
    faults: Final = (grpc.RpcError, ValueError, grpc.aio.UsageError)

    def __init__(self, channel: Any, socket: Path, loop: asyncio.AbstractEventLoop | None) -> None:
        self.channel = channel
        self.socket = socket
        self.loop = loop
        self._methods: dict[str, Any] = {}

    def unary(self, call: Call[Any]) -> Any:
        """The callable of a unary method."""
        return self._method(call, self.channel.unary_unary)

    def stream(self, call: Call[Any]) -> Any:
        """The callable of a method that streams its reply."""
        return self._method(call, self.channel.unary_stream)

    def _method(self, call: Call[Any], make: Callable[..., Any]) -> Any:
        if call.method not in self._methods:
            serialize = type(call.request).SerializeToString
            self._methods[call.method] = make(
                call.method, request_serializer=serialize, response_deserializer=call.response.FromString
            )
        return self._methods[call.method]

    def explain(self, fault: BaseException, *, closed: bool) -> DaemonError:
        """Our exception for a failed call."""
        if closed or not isinstance(fault, grpc.RpcError):
            return DaemonError("cancelled", "the client was closed while the call ran", reason="CANCELLED")
        # Most programs never see an error.
        from google.rpc.status_pb2 import Status

        from ferrywire.status import TRAILER, from_status

        status, told = fault.code(), fault.details() or ""
        code = status.name.lower() if status else "unknown"
        told_too: Any = fault.trailing_metadata() or ()
        trailers = dict(told_too)
        if TRAILER in trailers:
            known = from_ferry(from_status(Status.FromString(trailers[TRAILER])), code)
            known.request_id = str(trailers.get("x-request-id", ""))
            return known
        if code == "deadline_exceeded":
            return timed_out("no answer within the time allowed for a request: the daemon, or the hub, is slow or down")
        if code in ("unavailable", "cancelled"):
            error = unreachable(self.socket, f"the daemon at {self.socket} went away during the call ({told})")
            error.sent = not any(words in told.lower() for words in _NOT_SENT)
            return error
        return from_ferry(from_status(Status(code=status.value[0], message=told)), code)


def open_wire(path: Path, *, aio: bool) -> Wire:
    """A channel to the socket. It connects at its first call."""
    target = f"unix:{quote(str(path))}"
    if aio:
        return Wire(grpc.aio.insecure_channel(target, options=_OPTIONS), path, asyncio.get_running_loop())
    return Wire(grpc.insecure_channel(target, options=_OPTIONS), path, None)
