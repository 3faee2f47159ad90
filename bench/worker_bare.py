"""The least code that puts files into an S3 store, or gets them: the limit. `worker_bare.py HOST PORT LANES PLAN
put|get plain|safe`.

`PLAN` is a JSON file of `[target, headers, path, offset, size]`, signed before; a GET of size 0 is of a whole small
file. Threads with a raw socket each; of a reply its status and length are looked at. `safe` does what nobody can leave
out who wants to know what was moved: XXH3-128 of every byte, and CRC64NVME of what is put; what was got is renamed and
made durable, all small files by one sync. Parts of large ones are written past the page cache, and what was sent of
them is dropped from it: both are the cheapest ways known.
"""

from __future__ import annotations

import json
import mmap
import os
import re
import socket
import sys
import threading
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NoReturn

import xxhash
from awscrt.checksums import crc64nvme

SMALL, WINDOW, PAGE = 64 << 10, 1 << 20, 4096


class Lane(threading.local):
    """A connection for each thread."""

    def __init__(self, host: str, port: int) -> None:
        self.host = f"{host}:{port}"
        self.sock = socket.create_connection((host, port))
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.window = memoryview(mmap.mmap(-1, WINDOW))  # pages of its own, as direct writes want


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
        if safe:
            os.posix_fadvise(fd, end - size, size, os.POSIX_FADV_DONTNEED)
    os.close(fd)
    _answered(lane.sock)


def get(lane: Lane, safe: bool, target: str, headers: dict[str, str], path: str, offset: int, size: int) -> None:
    lines = "".join(f"{name}: {value}\r\n" for name, value in headers.items())
    lane.sock.sendall(f"GET {target} HTTP/1.1\r\nhost: {lane.host}\r\n{lines}\r\n".encode())
    if size:
        _part(lane, safe, f"{path}.part" if safe else path, offset, size)
        return
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


def _part(lane: Lane, safe: bool, path: str, offset: int, size: int) -> None:
    _, body = _head(lane.sock)
    past_cache = os.O_DIRECT if safe and size % PAGE == 0 else 0
    fd = os.open(path, os.O_WRONLY | os.O_CREAT | past_cache, 0o644)
    hasher, done, have = xxhash.xxh3_128(), 0, len(body)
    lane.window[:have] = body
    while done < size:
        wanted = min(WINDOW, size - done)
        while have < wanted:
            have += lane.sock.recv_into(lane.window[have:wanted]) or _hung_up()
        if safe:
            hasher.update(lane.window[:wanted])
        os.pwrite(fd, lane.window[:wanted], offset + done)
        done, have = done + wanted, 0
    if safe:
        hasher.digest()
        os.fdatasync(fd)
    os.close(fd)


def _answered(sock: socket.socket) -> bytes:
    length, body = _head(sock)
    while len(body) < length:
        body += sock.recv(SMALL)
    return body


def _head(sock: socket.socket) -> tuple[int, bytes]:
    """The length of the body, and what came of it with the head."""
    reply = b""
    while b"\r\n\r\n" not in reply:
        more = sock.recv(SMALL)
        reply += more or _hung_up()
    head, _, body = reply.partition(b"\r\n\r\n")
    if not re.match(rb"\S+ 20[06] ", head):
        raise SystemExit(reply.decode(errors="replace"))
    length = re.search(rb"(?i)content-length: (\d+)", head)
    return int(length[1]) if length else 0, body


def _hung_up() -> NoReturn:
    raise SystemExit("the store hung up")


def main(host: str, port: int, lanes: int, plan: Path, way: str, how: str) -> None:
    lane, act, safe = Lane(host, port), {"put": put, "get": get}[way], how == "safe"
    todo = json.loads(plan.read_text())
    for directory in {os.path.dirname(path) for _, _, path, _, _ in todo}:
        os.makedirs(directory, exist_ok=True)
    with ThreadPoolExecutor(lanes) as threads:
        list(threads.map(lambda one: act(lane, safe, *one), todo))
    if safe and way == "get":
        _name([path for _, _, path, _, size in todo if size])


def _name(large: list[str]) -> None:
    """Files of which each part is durable; if there are none, all small ones are made so."""
    for path in set(large):
        os.rename(f"{path}.part", path)
        directory = os.open(os.path.dirname(path), os.O_RDONLY)
        os.fsync(directory)
        os.close(directory)
    if not large:
        os.sync()


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), Path(sys.argv[4]), *sys.argv[5:])
