"""The least a server of bytes can do, in Python: `recv_into` + hash + `pwrite` + `fdatasync`, and `os.sendfile`.

`python bench/floor.py FILE` prints its port. A thread for each connection. It believes every head: `PUT /<offset>`
takes bytes of a file that has its length already, `GET /` with a range gives them back.
"""

from __future__ import annotations

import os
import re
import socket
import sys
import threading
from pathlib import Path

import xxhash

WINDOW = 1 << 20
_DONE = b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def main(path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        print(listener.getsockname()[1], flush=True)
        while True:
            connection, _ = listener.accept()
            threading.Thread(target=_serve, args=(connection, path), daemon=True).start()


def _serve(connection: socket.socket, path: Path) -> None:
    window = memoryview(bytearray(WINDOW))
    with connection:
        while head := _head(connection):
            # Opened anew for every request, as a server does.
            fd = os.open(path, os.O_RDWR)
            if head.startswith(b"PUT"):
                offset, length = _numbers(rb"PUT /(\d+)(?s:.)*content-length: (\d+)", head)
                _receive(connection, fd, window, offset, length)
            else:
                _send(connection, fd, *_numbers(rb"bytes=(\d+)-(\d+)", head))
            os.close(fd)


def _head(connection: socket.socket) -> bytes:
    """Byte for byte, so that nothing of the body is taken. Heads are short."""
    head = b""
    while not head.endswith(b"\r\n\r\n"):
        if not (more := connection.recv(1)):
            return b""
        head += more
    return head.lower().replace(b"put", b"PUT", 1)


def _numbers(pattern: bytes, head: bytes) -> tuple[int, int]:
    found = re.search(pattern, head)
    assert found is not None, head
    return int(found[1]), int(found[2])


def _receive(connection: socket.socket, fd: int, window: memoryview, offset: int, length: int) -> None:
    digests, end = [], offset + length
    while offset < end:
        filled, wanted = 0, min(WINDOW, end - offset)
        while filled < wanted:
            filled += connection.recv_into(window[filled:wanted])
        digest = xxhash.xxh3_128()
        digest.update(window[:filled])  # which lets other threads run; `xxh3_128_digest` does not
        digests.append(digest.digest())
        offset += os.pwrite(fd, window[:filled], offset)
    xxhash.xxh3_128_digest(b"".join(digests))
    os.fdatasync(fd)
    connection.sendall(_DONE)


def _send(connection: socket.socket, fd: int, first: int, last: int) -> None:
    left = last + 1 - first
    connection.sendall(f"HTTP/1.1 206 Partial Content\r\ncontent-length: {left}\r\n\r\n".encode())
    while left:
        sent = os.sendfile(connection.fileno(), fd, first, left)
        first, left = first + sent, left - sent


if __name__ == "__main__":
    main(Path(sys.argv[1]))
