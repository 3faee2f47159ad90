"""What can be asked of a socket without reading from it. Upload steps 7 and 8, download D8."""

from __future__ import annotations

import select


def has_input(fd: int) -> bool:
    """Whether bytes wait, or the other side has hung up: an idle connection of which this is so must not be used."""
    poll = select.poll()
    poll.register(fd, select.POLLIN)
    return bool(poll.poll(0))
