"""A service manager's ear: a datagram socket that keeps what was said to it."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Self


class NotifySocket:
    """Listens at `address`, a path or `@name` for an abstract socket. `said` grows in the order of arrival."""

    def __init__(self, address: str | Path) -> None:
        self.address = str(address)
        self.said: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._thread = threading.Thread(target=self._listen)

    def __enter__(self) -> Self:
        self._socket.bind("\0" + self.address[1:] if self.address.startswith("@") else self.address)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._thread.join(60)
        self._socket.close()

    def count(self, word: str) -> int:
        """How many datagrams said this, such as `WATCHDOG=1`."""
        return sum(word in text.splitlines() for text in self.said)

    def falls_silent(self, for_s: float) -> bool:
        """Whether there comes a time of `for_s` in which nothing is said; what is on its way now may come before it."""
        for _ in range(50):
            before = len(self.said)
            time.sleep(for_s)
            if len(self.said) == before:
                return True
        return False

    @property
    def status(self) -> str:
        """The last STATUS."""
        return next(self._statuses(), "")

    def _statuses(self) -> Iterator[str]:
        for text in reversed(self.said):
            for line in text.splitlines():
                if line.startswith("STATUS="):
                    yield line.removeprefix("STATUS=")

    def _listen(self) -> None:
        while text := self._socket.recv(4096):
            self.said.append(text.decode())
