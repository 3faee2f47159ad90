"""Pushes the body of a PUT from a file, or from memory, into a socket. Upload step 8.

`os.sendfile` where the socket is plain, preadv and send over TLS. Notices a server that answers before it has the whole
body, so that its error is read instead of a broken pipe.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable, Iterable

from ferryd.core.model import Span
from ferryd.core.ports import Meter
from ferryd.lanes.hashing import EndOfFile
from ferryd.lanes.windows import Window, read_at
from ferryd.lanes.wire import Link

_NETWORK = {
    errno.EPIPE,
    errno.ECONNRESET,
    errno.ECONNABORTED,
    errno.ENOTCONN,
    errno.ETIMEDOUT,
    errno.EHOSTUNREACH,
    errno.ENETUNREACH,
    errno.ENETDOWN,
}

#: What TLS sends in one call.
_TLS_BYTES = 64 << 10
#: (offset in the file, bytes at most) → bytes that the socket took.
_Push = Callable[[int, int], int]


class EarlyReply(Exception):
    """The server spoke, or hung up, before it had the whole body."""


def send_body(link: Link, fd: int, span: Span, buffer: memoryview, meter: Meter) -> None:
    """Send a span as the body. Raises `EarlyReply`, `EndOfFile`, TimeoutError when nothing moves for the socket's
    timeout, `OSError` of the file, `Interrupted`."""
    push = _kernel_push(link.sock, fd) if link.plain and hasattr(os, "sendfile") else _copy_push(link.sock, fd, buffer)
    window = Window(meter)
    done = 0
    while done < span.length:
        count = push(span.offset + done, min(window.size, span.length - done))
        done += count
        window.moved(count)


def send_windows(link: Link, windows: Iterable[memoryview], meter: Meter) -> None:
    """Send pieces of memory, one after the other, as the body; each is done with when the next one is asked for.
    Raises as `send_body`, and what the iteration does."""
    pace = Window(meter)
    for window in windows:
        done = 0
        while done < len(window):
            count = _written(link, window[done : done + pace.size])
            done += count
            pace.moved(count)


def _written(link: Link, window: memoryview) -> int:
    try:
        if not link.plain:
            return link.sock.send(window[:_TLS_BYTES])
        while True:
            try:
                return os.write(link.sock.fileno(), window)  # not send, which would wait without looking for a reply
            except BlockingIOError:
                _wait_writable(link.sock)
    except TimeoutError:
        raise
    except OSError as error:
        raise EarlyReply from error


def _kernel_push(sock: socket.socket, fd: int) -> _Push:
    def push(offset: int, size: int) -> int:
        while True:
            try:
                count = os.sendfile(sock.fileno(), fd, offset, size)
            except BlockingIOError:
                _wait_writable(sock)
                continue
            except OSError as error:
                if error.errno in _NETWORK:
                    raise EarlyReply from error
                raise
            if count == 0:
                raise EndOfFile
            return count

    return push


def _copy_push(sock: socket.socket, fd: int, buffer: memoryview) -> _Push:
    def push(offset: int, size: int) -> int:
        window = buffer[:size]
        if read_at(fd, window, offset) < size:
            raise EndOfFile
        done = 0
        try:
            while done < size:
                # Not sendall, nor all at once: over TLS the timeout is for the whole call, not for a stall.
                done += sock.send(window[done : done + _TLS_BYTES])
        except TimeoutError:
            raise
        except OSError as error:  # the socket's; an ssl.SSLError is one too
            raise EarlyReply from error
        return size

    return push


def _wait_writable(sock: socket.socket) -> None:
    poll = select.poll()
    poll.register(sock, select.POLLOUT | select.POLLIN)
    timeout_s = sock.gettimeout()
    events = poll.poll(None if timeout_s is None else timeout_s * 1000)
    if not events:
        raise TimeoutError
    if events[0][1] & (select.POLLIN | select.POLLHUP | select.POLLERR):
        raise EarlyReply
