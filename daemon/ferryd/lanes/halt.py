"""Stops a lane that is at work: between two windows, or by shutting the socket it is blocked on. Upload step 8, D8.

Stands between a lane and the engine's meter. Threads cannot be cancelled; this is how the lanes' threads are.
"""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Iterator

from ferryd.core.ports import Interrupted, Meter


class Halt:
    """A meter that can also be stopped from outside. `stop` may be called from any thread, the rest from the lane's."""

    def __init__(self, meter: Meter) -> None:
        self._meter = meter
        self._stopped = threading.Event()
        self._lock = threading.Lock()
        self._socket: socket.socket | None = None
        self._keeping = self._abandoned = False

    def moved(self, count: int) -> None:
        """Count bytes; may block to keep a bandwidth limit. Raises `Interrupted`."""
        self.check()
        self._meter.moved(count)

    def check(self) -> None:
        """Raise `Interrupted` when the lane must stop."""
        if self._stopped.is_set():
            raise Interrupted
        self._meter.check()

    def stop(self) -> None:
        """Make the lane stop now, even when it waits for the other side."""
        self._stopped.set()
        with self._lock:
            if self._socket is not None:
                with contextlib.suppress(OSError):  # closed by the peer meanwhile: just as well
                    self._socket.shutdown(socket.SHUT_RDWR)

    @contextlib.contextmanager
    def keeping(self) -> Iterator[None]:
        """While this runs, its end is waited for, however long. Raises `Interrupted` when nobody waits any more."""
        with self._lock:
            if self._abandoned:
                raise Interrupted
            self._keeping = True
        try:
            yield
        finally:
            with self._lock:
                self._keeping = False

    def abandon(self) -> bool:
        """Stop waiting for the thread, which keeps nothing from now on; not when it is just at that."""
        with self._lock:
            self._abandoned = not self._keeping
            return self._abandoned

    @contextlib.contextmanager
    def watching(self, sock: socket.socket) -> Iterator[None]:
        """Let `stop` shut this socket while the block runs."""
        with self._lock:
            self._socket = sock
        try:
            yield
        finally:
            with self._lock:
                self._socket = None
