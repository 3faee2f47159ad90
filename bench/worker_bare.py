"""The least code that puts files into an S3 store: the limit. `worker_bare.py HOST PORT LANES PLAN`.

`PLAN` is a JSON file of `[target, headers, path, offset, size]`, signed before. Threads with a raw socket each; nothing
is hashed, no reply is looked at but for its status.
"""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

SMALL = 64 << 10


class Lane(threading.local):
    """A connection for each thread."""

    def __init__(self, host: str, port: int) -> None:
        self.host = f"{host}:{port}"
        self.sock = socket.create_connection((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)


def put(lane: Lane, target: str, headers: dict[str, str], path: str, offset: int, size: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {target} HTTP/1.1\r\nhost: {lane.host}\r\ncontent-length: {size}\r\n{lines}\r\n".encode()
    fd = os.open(path, os.O_RDONLY)
    if size <= SMALL:
        lane.sock.sendall(head + os.pread(fd, size, offset))
    else:
        lane.sock.sendall(head)
        end = offset + size
        while offset < end:
            offset += os.sendfile(lane.sock.fileno(), fd, offset, end - offset)
    os.close(fd)
    _answered(lane.sock)


def _answered(sock: socket.socket) -> None:
    reply = b""
    while b"\r\n\r\n" not in reply:
        more = sock.recv(SMALL)
        if not more:
            raise SystemExit("the store hung up")
        reply += more
    head, _, body = reply.partition(b"\r\n\r\n")
    if b" 200 " not in head.split(b"\r\n", 1)[0]:
        raise SystemExit(reply.decode(errors="replace"))
    length = re.search(rb"(?i)content-length: (\d+)", head)
    while length and len(body) < int(length[1]):
        body += sock.recv(SMALL)


def main(host: str, port: int, lanes: int, plan: Path) -> None:
    lane = Lane(host, port)
    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(lambda one: put(lane, *one), json.loads(plan.read_text())))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]))
