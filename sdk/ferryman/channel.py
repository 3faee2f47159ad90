"""The connection to the daemon: connects when first used, and again after a fork or a restart. Upload steps 1 and 2.

`Connection` waits; its twin, which awaits, is in `aio_channel.py`. grpc is not imported here but in `wire.py`, when it
is first needed.
"""

from __future__ import annotations

import os
import threading
import time
import weakref
from collections.abc import Generator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar

from ferryman import address, errors, spawn
from ferryman.errors import DaemonError
from ferrywire.traceparent import HEADER as TRACE_HEADER
from ferrywire.traceparent import traceparent

if TYPE_CHECKING:
    from ferryman.call import Call
    from ferryman.reports import Context
    from ferryman.wire import Wire

T = TypeVar("T")

#: How long a stopping daemon may take until it is gone: it checkpoints within 2 s.
GONE_S: Final = 3.0
POLL_S: Final = 0.02


def _new_id() -> str:
    return os.urandom(16).hex()


class Link:
    """What both connections share: the endpoint, the open channel and its life. Safe to use from many threads."""

    def __init__(self, endpoint: spawn.Endpoint, request_timeout_s: float) -> None:
        self.endpoint = endpoint
        self.request_timeout_s = request_timeout_s
        self._wire: Wire | None = None
        self._compared: Wire | None = None
        self._closed = False
        self._lock = threading.Lock()
        _links.add(self)

    def timeout_of(self, call: Call[Any]) -> float:
        """The deadline of a call, in seconds."""
        return max(self.request_timeout_s, call.at_least_s)

    @property
    def metadata(self) -> tuple[tuple[str, str], ...]:
        """What goes with every call: an id to find it by in every log, the span it is made in, and the context that
        FERRYMAN_CONTEXT names."""
        followed = [("x-request-id", _new_id())]
        if parent := traceparent():  # of a program that traces itself
            followed.append((TRACE_HEADER, parent))
        name = os.environ.get("FERRYMAN_CONTEXT", "")
        if not name:
            return tuple(followed)
        if not (name.isascii() and name.isprintable()):
            raise errors.invalid("FERRYMAN_CONTEXT", f"FERRYMAN_CONTEXT is not the name of a context: {name!r}")
        return (*followed, ("ferryman-context", name))

    def hub_in_doubt(self, wire: Wire, call: Call[Any]) -> str:
        """The hub that FERRYMAN_HUB names, when a call is for a hub and this daemon has not been asked which it serves.

        Empty when there is nothing to ask: the variable is for the daemon, which may have been started without it.
        """
        if self._compared is wire or not call.for_hub or os.environ.get("FERRYMAN_CONTEXT"):
            return ""
        return os.environ.get("FERRYMAN_HUB", "")

    def compare(self, wire: Wire, wanted: str, known: list[Context]) -> None:
        """Raise when the daemon serves another hub; once that is known not to be, it is not asked again."""
        from ferryman.contexts import require_hub

        require_hub(wanted, known)
        self._compared = wire

    def prepare(self) -> Path:
        """Make sure that a daemon runs and that grpc is imported. Blocks for as long as the daemon takes to start."""
        if self._closed:
            raise DaemonError("failed_precondition", "the client is closed; call connect() to use it again")
        path = spawn.ensure(self.endpoint, meanwhile=import_wire)
        if self.endpoint.socket_path is None:
            address.require_state(path)
        import_wire()
        return path

    def reopen(self) -> None:
        """Allow use again after `retire`."""
        self._closed = False

    def told(self, wire: Wire, fault: BaseException) -> DaemonError:
        """Our exception for a failed call; a channel without a daemon is forgotten."""
        error = wire.explain(fault, closed=self._closed)
        if isinstance(error, errors.ConnectionError):
            self.drop(wire)
        return error

    def retire(self) -> Wire | None:
        """Refuse further calls and hand over the channel, to be closed."""
        self._closed = True
        wire, self._wire = self._wire, None
        return wire

    def drop(self, wire: Wire | None) -> None:
        """Forget a channel whose daemon is gone; calls of other threads on it end by themselves."""
        if self._wire is wire:
            self._wire = None

    def after_fork(self) -> None:
        """Forget the parent's channel in a child: grpc cannot use it there, and closing it would disturb the parent."""
        if self._wire is not None:
            _inherited.append(self._wire)
        self._wire = None
        self._lock = threading.Lock()

    def socket(self) -> Path:
        """The path of the socket."""
        return address.resolve(self.endpoint.socket_path)


#: Every connection of this process, for `after_fork` alone.
_links: Final[weakref.WeakSet[Link]] = weakref.WeakSet()
#: The parent's channels, kept from the garbage collector in a child.
_inherited: Final[list[Wire]] = []


def _after_fork() -> None:
    for link in list(_links):
        link.after_fork()


os.register_at_fork(after_in_child=_after_fork)


def import_wire() -> Any:
    """The module that imports grpc, imported now."""
    from ferryman import wire

    return wire


def contexts_call() -> Call[list[Context]]:
    """The call for all contexts."""
    from ferryman.contexts import listing

    return listing()


def repeatable(error: DaemonError) -> bool:
    """Whether the daemon certainly did not do what was asked, so that it can be asked again."""
    return error.reason == "SHUTTING_DOWN" or (isinstance(error, errors.ConnectionError) and not error.sent)


def lost(error: DaemonError, call: Call[Any]) -> bool:
    """Whether the daemon went away, perhaps with the request, and asking its successor again does no harm."""
    return isinstance(error, errors.ConnectionError) and call.harmless


class Connection(Link):
    """Runs calls and waits for their replies."""

    def open(self) -> Wire:
        """The open channel; connects to the daemon, and starts it, when there is none. One thread does it for all."""
        wire = self._wire
        if wire is not None:
            return wire
        with self._lock:
            if self._wire is None:
                path = self.prepare()
                self._wire = import_wire().open_wire(path, aio=False)
            return self._wire

    def run(self, call: Call[T]) -> T:
        """The reply of a call; asked once more where the first daemon was stopping or gone."""
        try:
            return self._run(call)
        except DaemonError as error:
            if not (repeatable(error) or lost(error, call)):
                raise
            self.await_gone(error)
        return self._run(call)

    def _run(self, call: Call[T]) -> T:
        wire = self.open()
        if wanted := self.hub_in_doubt(wire, call):
            self.compare(wire, wanted, self._run(contexts_call()))
        try:
            reply = wire.unary(call)(call.request, timeout=self.timeout_of(call), metadata=self.metadata)
        except wire.faults as fault:
            raise self.told(wire, fault) from None
        return call.parse(reply)

    def stream(self, call: Call[T], timeout_s: float | None) -> Generator[T, None, None]:
        """The events of a streaming call. Closing the iterator ends the call. Asked once more where the first daemon
        was stopping or gone before it could have done anything; never in the midst of it."""
        begun = False
        try:
            with closing(self._stream(call, timeout_s)) as events:
                for event in events:
                    begun = True
                    yield event
                return
        except DaemonError as error:
            if begun or not repeatable(error):
                raise
            self.await_gone(error)
        yield from self._stream(call, timeout_s)

    def _stream(self, call: Call[T], timeout_s: float | None) -> Generator[T, None, None]:
        wire = self.open()
        events = None
        try:
            events = wire.stream(call)(call.request, timeout=timeout_s, metadata=self.metadata)
            for event in events:
                yield call.parse(event)
        except wire.faults as fault:
            raise self.told(wire, fault) from None
        finally:
            if events is not None:
                events.cancel()

    def await_gone(self, error: DaemonError) -> None:
        """Wait until a daemon that is stopping has gone, at most 3 s: one that only drains stays."""
        deadline = time.monotonic() + GONE_S
        while error.reason == "SHUTTING_DOWN" and time.monotonic() < deadline and address.answers(self.socket()):
            time.sleep(POLL_S)
        self.drop(self._wire)

    def close(self) -> None:
        """End the connection; running calls end with an error. Calling it again does nothing."""
        wire = self.retire()
        if wire is not None:
            wire.channel.close()
