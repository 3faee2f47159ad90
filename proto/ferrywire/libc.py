"""Functions of the C library that Python has no word for, on Linux. Upload step 8, download D8 and D10.

What each is called for, and what is done where there is none, is said where it is called.
"""

from __future__ import annotations

import ctypes
import sys
from functools import cache
from typing import Any


@cache
def libc(name: str) -> Any:
    """The function, or None where there is none. After a failure `ctypes.get_errno()` says why. File offsets and
    lengths must be given as `c_int64`."""
    return getattr(ctypes.CDLL(None, use_errno=True), name, None) if sys.platform == "linux" else None
