"""Imports without the garbage collector: it would look through what only grows, a tenth of the daemon's start. Step 2.

What was imported is not looked at again either: a full collection of all modules would hold the event loop for long.
"""

from __future__ import annotations

import gc
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def uncollected() -> Iterator[None]:
    """Collect nothing inside the block, and never what is there at its end."""
    gc.disable()
    try:
        yield
    finally:
        gc.freeze()
        gc.enable()
