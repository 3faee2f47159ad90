"""Tells whoever started the daemon how it went: one line on an inherited descriptor. Step 2.

`ready`, `busy` (another daemon serves: just connect) or `error <text>`.
"""

from __future__ import annotations

import os


class Readiness:
    """The starter's pipe, or nothing when the daemon was started by hand."""

    def __init__(self, descriptor: int | None) -> None:
        self._descriptor = descriptor
        if descriptor is not None:
            os.set_inheritable(descriptor, False)

    def ready(self) -> None:
        """The daemon answers calls."""
        self._say("ready")

    def busy(self) -> None:
        """Another daemon answers calls on this socket."""
        self._say("busy")

    def error(self, text: str) -> None:
        """The daemon cannot start, and why."""
        self._say("error " + " ".join(text.split()))

    def _say(self, line: str) -> None:
        if self._descriptor is None:
            return
        descriptor, self._descriptor = self._descriptor, None
        try:
            os.write(descriptor, line.encode() + b"\n")
        except BrokenPipeError:
            pass  # the starter gave up; the daemon serves whoever comes next
        finally:
            os.close(descriptor)
