"""The gRPC server on the Unix socket: which methods there are, and how every error leaves. Step 3.

Methods come from the service descriptors, so a new rpc needs a proto and a method, no registration. The only module
that knows grpcio's server API.
"""

from __future__ import annotations

import asyncio
import logging
import re
import secrets
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from contextlib import asynccontextmanager
from contextvars import ContextVar
from pathlib import Path
from typing import Any, Final, Protocol, TypeAlias

import grpc
import grpc.aio
from google.protobuf.descriptor import MethodDescriptor, ServiceDescriptor
from google.protobuf.message_factory import GetMessageClass

from ferryd.core.following import HEADER, current, follow
from ferryd.core.observing import Observer
from ferrywire import traceparent, tracing
from ferrywire.reasons import FerryError
from ferrywire.status import TRAILER, to_status

log = logging.getLogger(__name__)

#: What answers the calls of one service, or of many.
Handler: TypeAlias = "grpc.GenericRpcHandler[Any, Any]"

_CODES = {code.value[0]: code for code in grpc.StatusCode}
_OPTIONS = [("grpc.so_reuseport", 0), ("grpc.max_receive_message_length", 8 << 20)]
_GRACE_S = 0.5
_KNOCK_S = 0.1


_CONTEXT_KEY: Final = "ferryman-context"
_NO_DEADLINE_S: Final = 60.0
#: The context that the call being answered names in its metadata, and when its caller stops waiting, in loop time.
_asked: ContextVar[tuple[str, float]] = ContextVar("ferryman-asked", default=("", 0.0))


def asked_context() -> str:
    """The name of the context that the call being answered is for; empty for the current one."""
    return _asked.get()[0]


def seconds_left() -> float:
    """How long the caller of the call being answered still waits; a minute when it did not say."""
    return _asked.get()[1] - asyncio.get_running_loop().time()


def _note(context: grpc.aio.ServicerContext[Any, Any]) -> str:
    """Remember what the caller sent beside the request; returns the span it calls from, if it said so."""
    sent: dict[str, Any] = dict(context.invocation_metadata() or ())
    left_s = context.time_remaining()
    ends_at = asyncio.get_running_loop().time() + (_NO_DEADLINE_S if left_s is None else left_s)
    _asked.set((sent.get(_CONTEXT_KEY, ""), ends_at))
    follow(sent.get(HEADER, ""))
    parent: str = sent.get(traceparent.HEADER, "")
    return parent


class Activity:
    """Whether calls are in flight, and since when there are none: what idle exit asks. `observer` is told of each."""

    def __init__(self, observer: Observer | None = None) -> None:
        self.observer = observer or Observer()
        self.open_calls = 0
        self.quiet_since = asyncio.get_running_loop().time()

    def begin(self) -> None:
        self.open_calls += 1

    def end(self) -> None:
        self.open_calls -= 1
        self.touch()

    def touch(self) -> None:
        """Start the quiet time anew."""
        self.quiet_since = asyncio.get_running_loop().time()


class Service(Protocol):
    """An implementation: the service's descriptor, and a method in snake_case for each of its rpcs."""

    @property
    def service(self) -> ServiceDescriptor: ...


def service_handler(implementation: Service, activity: Activity) -> Handler:
    """Serve every rpc of a service with the implementation's method of the same name."""
    service = implementation.service
    handlers = {method.name: _method_handler(method, implementation, activity) for method in service.methods}
    return grpc.method_handlers_generic_handler(service.full_name, handlers)


def _method_handler(
    method: MethodDescriptor, implementation: object, activity: Activity
) -> grpc.RpcMethodHandler[Any, Any]:
    behaviour = getattr(implementation, re.sub(r"(?<!^)(?=[A-Z])", "_", method.name).lower())
    parse = GetMessageClass(method.input_type).FromString
    serialize = GetMessageClass(method.output_type).SerializeToString
    name = f"{method.containing_service.name}/{method.name}"
    if method.server_streaming:
        streaming = guard_stream(behaviour, activity, name)
        return grpc.unary_stream_rpc_method_handler(streaming, parse, serialize)
    return grpc.unary_unary_rpc_method_handler(guard(behaviour, activity, name), parse, serialize)


class _Call:
    """A call that is being answered; `with` counts it. `timed` says whether how long it takes means anything."""

    def __init__(
        self, context: grpc.aio.ServicerContext[Any, Any], activity: Activity, method: str, *, timed: bool
    ) -> None:
        self._context = context
        self._activity = activity
        self._method = method
        self._timed = timed
        self.code = "CANCELLED"  # until something else has come of it

    def __enter__(self) -> _Call:
        self._began = time.perf_counter()
        self._activity.begin()
        return self

    def __exit__(self, *_: object) -> None:
        self._activity.end()
        took_s = time.perf_counter() - self._began if self._timed else None
        self._activity.observer.answered(self._method, self.code, took_s)

    async def abort(self, error: Exception, span: tracing.Span | None = None) -> None:
        """Give the caller the status of an error. Always raises."""
        known = error if isinstance(error, FerryError) else _unexpected(error)
        status = to_status(known)
        code = _CODES[status.code]
        self.code = code.name
        if span is not None:
            span.fail(known.reason)
        trailers = ((TRAILER, status.SerializeToString()), (HEADER, current()))
        await self._context.abort(code, status.message, trailing_metadata=trailers)


def guard(behaviour: Callable[[Any], Awaitable[Any]], activity: Activity, method: str) -> Callable[..., Awaitable[Any]]:
    """A unary handler that counts its calls and turns every exception into a status with a reason."""

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> Any:
        with _Call(context, activity, method, timed=True) as call:
            parent = _note(context)
            with tracing.span(method, kind="server", parent=parent, request_id=current()) as span:
                try:
                    reply = await behaviour(request)
                except Exception as error:  # noqa: BLE001 — the edge: whatever happened must reach the caller as a status
                    return await call.abort(error, span)
                call.code = "OK"
                return reply

    return handle


def guard_stream(behaviour: Callable[[Any], AsyncIterator[Any]], activity: Activity, method: str) -> Callable[..., Any]:
    """The same for a handler that yields. Not traced: a watch lasts as long as somebody looks."""

    async def handle(request: Any, context: grpc.aio.ServicerContext[Any, Any]) -> AsyncIterator[Any]:
        with _Call(context, activity, method, timed=False) as call:
            try:
                _note(context)
                async for message in behaviour(request):
                    yield message
                call.code = "OK"
            except Exception as error:  # noqa: BLE001 — as above
                await call.abort(error)

    return handle


def _unexpected(error: Exception) -> FerryError:
    error_id = secrets.token_hex(4)
    log.error("call failed unexpectedly, error id %s", error_id, exc_info=error)
    return FerryError("INTERNAL", f"the daemon failed; its log explains under error id {error_id}", errorId=error_id)


@asynccontextmanager
async def serve(socket_path: Path, handlers: Sequence[Handler]) -> AsyncIterator[None]:
    """Bind the socket and serve until the block ends. The caller holds the runtime lock and has set the umask."""
    server = grpc.aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers(tuple(handlers))
    _bind(server, socket_path)
    await server.start()
    try:
        yield
    finally:
        # grpc cancels calls that it has accepted and not yet given us. So first nobody new finds the socket (they wait
        # for the next daemon), and who is just knocking is answered.
        socket_path.unlink(missing_ok=True)  # noqa: ASYNC240 — one entry of a directory in memory
        await asyncio.sleep(_KNOCK_S)
        await server.stop(_GRACE_S)


def _bind(server: grpc.aio.Server, socket_path: Path) -> None:
    socket_path.unlink(missing_ok=True)  # stale: we hold the lock
    server.add_insecure_port(f"unix:{socket_path}")
    socket_path.chmod(0o600)
