"""Which paths of files a hub takes: one rule for daemon, SDK and hub. Upload steps 4 and 7. Pure."""

from __future__ import annotations

import unicodedata


def is_plain(path: str) -> bool:
    """Whether a path hides nothing: a backslash parts names on some machines, control characters and halves of letters
    are not seen."""
    return "\\" not in path and not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in path)
