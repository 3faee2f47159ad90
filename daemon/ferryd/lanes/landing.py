"""Where the bytes of a span come down: each piece is hashed, written past the page cache and counted. Download step D8,
and upload step 8 between two files of this machine.

Where they come from, and what it means when they do not, is `http.py`'s and `through.py`'s.
"""

from __future__ import annotations

from ferryd.core.model import Span
from ferryd.core.ports import Meter
from ferryd.lanes.direct import ALIGN_BYTES, DirectWrites
from ferryd.lanes.oserrors import writing
from ferryd.lanes.windows import Window
from ferrywire.digest import BlockHasher


class Landing:
    """One span of the open file `dest`, which is at `path`. Not durable yet; all that writing raises."""

    def __init__(self, dest: int, span: Span, path: str, meter: Meter) -> None:
        self._span = span
        self._path = path
        self._hasher = BlockHasher()
        self._window = Window(meter)
        with writing(path):
            self._writes = DirectWrites(dest, span)
        self.done = 0  #: bytes that have come

    @property
    def wanted(self) -> int:
        """How many bytes may come next; 0 when all are here."""
        # After a piece that was cut short, by time or by a limit, the next one ends where a direct write can go on.
        return min(self._window.size - self.done % ALIGN_BYTES, self._span.length - self.done)

    def take(self, piece: memoryview) -> None:
        """The next bytes, at most as many as are `wanted`. Raises `Interrupted` too."""
        self._hasher.update(piece)
        with writing(self._path):
            self._writes.write(piece, self._span.offset + self.done)
        self.done += len(piece)
        self._window.moved(len(piece))

    def block_digests(self) -> bytes:
        """Of all that came, at its end."""
        return self._hasher.block_digests()
