"""The least code that puts files into an S3 store, or gets them: the limit. `worker_bare.py HOST PORT LANES PLAN
put|get plain|safe`.

`PLAN` is a JSON file of `[target, headers, path, offset, size]`, signed before. Threads with a raw socket each; of a
reply its status and length are looked at. `safe` does what nobody can leave out who wants to know what was moved:
XXH3-128 of every byte, and CRC64NVME of what is put; what was got is renamed and made durable, all of it by one sync.
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

import xxhash
from awscrt.checksums import crc64nvme

SMALL, WINDOW = 64 << 10, 1 << 20


class Lane(threading.local):
    """A connection for each thread."""

    def __init__(self, host: str, port: int) -> None:
        self.host = f"{host}:{port}"
        self.sock = socket.create_connection((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.window = memoryview(bytearray(WINDOW))


def put(lane: Lane, safe: bool, target: str, headers: dict[str, str], path: str, offset: int, size: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    head = f"PUT {target} HTTP/1.1\r\nhost: {lane.host}\r\ncontent-length: {size}\r\n{lines}\r\n".encode()
    fd = os.open(path, os.O_RDONLY)
    if safe:
        _hashed(fd, lane.window, offset, size)
    if size <= SMALL:
        lane.sock.sendall(head + os.pread(fd, size, offset))
    else:
        lane.sock.sendall(head)
        end = offset + size
        while offset < end:
            offset += os.sendfile(lane.sock.fileno(), fd, offset, end - offset)
    os.close(fd)
    _answered(lane.sock)


def get(lane: Lane, safe: bool, target: str, headers: dict[str, str], path: str, offset: int, size: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    lane.sock.sendall(f"GET {target} HTTP/1.1\r\nhost: {lane.host}\r\n{lines}\r\n".encode())
    body = _answered(lane.sock)
    if safe:
        xxhash.xxh3_128(body).digest()
    fd = os.open(f"{path}.part" if safe else path, os.O_WRONLY | os.O_CREAT, 0o644)
    os.write(fd, body)
    os.close(fd)
    if safe:
        os.rename(f"{path}.part", path)


def _hashed(fd: int, window: memoryview, offset: int, size: int) -> None:
    hasher, crc, end = xxhash.xxh3_128(), 0, offset + size
    while offset < end:
        count = os.preadv(fd, [window[: end - offset]], offset)
        hasher.update(window[:count])
        crc = crc64nvme(window[:count], crc)
        offset += count
    hasher.digest()


def _answered(sock: socket.socket) -> bytes:
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
    return body


def main(host: str, port: int, lanes: int, plan: Path, way: str, how: str) -> None:
    lane, act, safe = Lane(host, port), {"put": put, "get": get}[way], how == "safe"
    todo = json.loads(plan.read_text())
    for directory in {os.path.dirname(path) for _, _, path, _, _ in todo}:
        os.makedirs(directory, exist_ok=True)
    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(lambda one: act(lane, safe, *one), todo))
    if safe and way == "get":
        os.sync()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
