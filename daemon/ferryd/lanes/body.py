"""Pushes the body of a PUT from a file into a socket. Upload step 8.

`os.sendfile` where the socket is plain, preadv and send over TLS. Notices a server that answers before it has the whole
body, so that its error is read instead of a broken pipe.
"""

from __future__ import annotations

import errno
import os
import select
import socket
from collections.abc import Callable

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
                done += sock.send(window[done:])  # not sendall: its timeout is for everything, not for a stall
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
