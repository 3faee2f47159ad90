"""Named places where a test makes the daemon die, to prove the ordering of docs/durability.md. Upload steps 5 to 10.

FERRYMAN_CRASHPOINT=name kills the process at the first pass, name:3 at the third. Unset, a call is one set lookup.
"""

from __future__ import annotations

import os
import signal
from collections import Counter
from typing import Final

NAMES: Final = frozenset(
    {
        "after-insert",
        "after-session",
        "after-part-sent",
        "after-part-row",
        "before-commit",
        "after-commit",
        "after-part-file-write",
        "before-publish",
        "after-publish",
        "after-refresh-reply",
    }
)
_ENV: Final = "FERRYMAN_CRASHPOINT"


def _parse(text: str) -> dict[str, int]:
    name, _, count = text.partition(":")
    return {name: int(count or 1)} if name in NAMES else {}


_ARMED: Final = _parse(os.environ.get(_ENV, ""))
_passes: Final[Counter[str]] = Counter()


def crashpoint(name: str) -> None:
    """Die by SIGKILL, as `kill -9` would, when the environment asked for it here."""
    if name not in _ARMED:
        return
    _passes[name] += 1
    if _passes[name] == _ARMED[name]:
        os.kill(os.getpid(), signal.SIGKILL)
