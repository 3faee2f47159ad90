"""Follows transfers in a thread of its own, so that a screen can be drawn and Ctrl-C heard while nothing happens.

Upload step 9, seen from the terminal. A daemon that is restarted or killed is followed to its successor.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from ferryman.cli import describe
from ferryman.errors import ConnectionError as DaemonGone
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.progress import TransferInfo

#: Attempts to find the daemon again, without any news in between.
_ATTEMPTS: Final = 5
_PAUSE_S: Final = 0.2


def follow(client: Client, transfer_ids: Sequence[str], interval_s: float) -> Iterator[TransferInfo]:
    """Snapshots until all named transfers have settled; of all transfers, without end, when none is named."""
    attempts = 0
    while True:
        try:
            for info in client.transfers.watch(transfer_ids, min_interval_s=interval_s):
                attempts = 0
                yield info
            if transfer_ids:
                return
        except DaemonError as error:
            attempts += 1
            gone = isinstance(error, DaemonGone) or error.reason == "SHUTTING_DOWN"
            if not gone or attempts > _ATTEMPTS:
                raise
        time.sleep(_PAUSE_S * max(1, attempts))


class Feed:
    """What `follow` gives, to be taken with patience."""

    def __init__(self, client: Client, transfer_ids: Sequence[str], interval_s: float = 0.2) -> None:
        self._queue: queue.SimpleQueue[TransferInfo | DaemonError | None] = queue.SimpleQueue()
        self._ended = False
        source = follow(client, transfer_ids, interval_s)
        threading.Thread(target=self._read, args=(source,), name="ferry-feed", daemon=True).start()

    def _read(self, source: Iterator[TransferInfo]) -> None:
        try:
            for info in source:
                self._queue.put(info)
        except DaemonError as error:
            self._queue.put(error)
        else:
            self._queue.put(None)

    @property
    def ended(self) -> bool:
        """Whether all named transfers have settled."""
        return self._ended

    def take(self, timeout_s: float) -> TransferInfo | None:
        """The next snapshot; None when none came in time, or no more will come. Raises what ended the following."""
        if self._ended:
            return None
        try:
            found = self._queue.get(timeout=timeout_s)
        except queue.Empty:
            return None
        if isinstance(found, DaemonError):
            raise found
        self._ended = found is None
        return found


class Forecast:
    """When a transfer will be done. Says nothing for its first ten seconds: a rate is no rate before that."""

    _QUIET_S: Final = 10.0

    def __init__(self) -> None:
        self._since: dict[str, float] = {}

    def left_s(self, info: TransferInfo, now_s: float) -> float | None:
        """Seconds until all bytes have moved; None while that is not known."""
        if not describe.moves(info) or not info.size_bytes:
            self._since.pop(info.transfer_id, None)
            return None
        if now_s - self._since.setdefault(info.transfer_id, now_s) < self._QUIET_S:
            return None
        return (info.size_bytes - info.persisted_bytes) / info.rate_bps
