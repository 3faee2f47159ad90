"""The least code that moves the same bytes and hashes them: the limit. `worker_raw.py up|down PORT PATH SIZE`.

Four threads, parts of 64 MiB, XXH3-128 of every window; up by `os.sendfile`, down by recv_into and pwrite.
"""

from __future__ import annotations

import http.client
import os
import sys
import threading
from concurrent.futures import ThreadPoolExecutor

import xxhash

PART, WINDOW, LANES = 64 << 20, 1 << 20, 4


class Lane(threading.local):
    """What a thread keeps from part to part."""

    def __init__(self, port: int) -> None:
        self.link = http.client.HTTPConnection("127.0.0.1", port)
        self.link.connect()
        self.buffer = memoryview(bytearray(WINDOW))


def up(lane: Lane, fd: int, offset: int, size: int) -> None:
    digest = xxhash.xxh3_128()
    for at in range(0, size, WINDOW):
        window = lane.buffer[: min(WINDOW, size - at)]
        os.preadv(fd, [window], offset + at)
        digest.update(window)
    lane.link.putrequest("PUT", f"/raw?partNumber={offset // PART}")
    lane.link.putheader("Content-Length", str(size))
    lane.link.endheaders()
    done = 0
    while done < size:
        done += os.sendfile(lane.link.sock.fileno(), fd, offset + done, min(WINDOW, size - done))
    lane.link.getresponse().read()


def down(lane: Lane, fd: int, offset: int, size: int) -> None:
    digest = xxhash.xxh3_128()
    lane.link.request("GET", "/raw", headers={"Range": f"bytes={offset}-{offset + size - 1}"})
    reply = lane.link.getresponse()
    done = 0
    while done < size:
        have = reply.readinto(lane.buffer[: min(WINDOW, size - done)])
        digest.update(lane.buffer[:have])
        os.pwrite(fd, lane.buffer[:have], offset + done)
        done += have
    reply.read()
    os.fdatasync(fd)


def main(direction: str, port: int, path: str, size: int) -> None:
    lane = Lane(port)
    fd = os.open(path, os.O_RDONLY if direction == "up" else os.O_RDWR | os.O_CREAT, 0o600)
    if direction == "down":
        os.posix_fallocate(fd, 0, size)
    move = up if direction == "up" else down
    with ThreadPoolExecutor(LANES) as threads:
        offsets = range(0, size, PART)
        list(threads.map(lambda offset: move(lane, fd, offset, min(PART, size - offset)), offsets))
    os.close(fd)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3], int(sys.argv[4]))
