"""Sizes, rates, times and widths as people read and write them. Pure."""

from __future__ import annotations

import re
import unicodedata
from datetime import UTC, datetime
from typing import Final

from ferryman.cli.faults import Problem

_UNITS: Final = ("B", "KiB", "MiB", "GiB", "TiB", "PiB")
_RATE: Final = re.compile(r"(\d+(?:\.\d+)?)\s*([kmgt]?)(i?b)?(?:/s|ps)?", re.IGNORECASE)
_POWERS: Final = {"": 0, "k": 1, "m": 2, "g": 3, "t": 4}
_UNLIMITED: Final = ("0", "off", "none", "unlimited")


def size(count: float) -> str:
    """A number of bytes in binary units, three digits or so: `1.5 MiB`."""
    value, unit = float(count), 0
    while round(value, 1) >= 1024 and unit < len(_UNITS) - 1:
        value, unit = value / 1024, unit + 1
    digits = 0 if unit == 0 or value >= 100 else 1
    return f"{value:.{digits}f} {_UNITS[unit]}"


def count(number: int, thing: str) -> str:
    """So many things: `1 file`, `5,000 files`."""
    return f"{number:,} {thing}" if number == 1 else f"{number:,} {thing}s"


def rate(bytes_per_s: float) -> str:
    """Bytes per second: `12.0 MiB/s`."""
    return f"{size(bytes_per_s)}/s"


def duration(seconds: float) -> str:
    """A length of time, its two largest units: `2 h 5 min`."""
    whole = max(0, round(seconds))
    if whole < 60:
        return f"{whole} s"
    minutes, rest = divmod(whole, 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    hours, minutes = divmod(minutes, 60)
    if hours < 24:
        return f"{hours} h {minutes} min" if minutes else f"{hours} h"
    days, hours = divmod(hours, 24)
    return f"{days} d {hours} h" if hours else f"{days} d"


def countdown(seconds: float) -> str:
    """A remaining time as a clock shows it: `0:32`, `1:02:03`."""
    minutes, rest = divmod(max(0, round(seconds)), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"


def ago(moment: datetime | None, now: datetime) -> str:
    """How long ago something was; empty when that is not known."""
    if moment is None:
        return ""
    seconds = (now - moment).total_seconds()
    return "now" if seconds < 1 else f"{duration(seconds)} ago"


def moment(when: datetime | None) -> str:
    """A point in time on this machine's clock, with its date."""
    return "" if when is None else when.astimezone().strftime("%Y-%m-%d %H:%M:%S")


def utc_now() -> datetime:
    """Now, with its zone."""
    return datetime.now(UTC)


def parse_rate(text: str) -> int:
    """Bytes per second from `20M`, `1.5MiB/s`, `800k` (all binary), `20MB` (decimal), `off`. 0 is unlimited."""
    if text.strip().lower() in _UNLIMITED:
        return 0
    found = _RATE.fullmatch(text.strip())
    if not found:
        raise Problem(f"{text!r} is not a rate", "Write it as 20M, 1.5G, 800k, or off.")
    number, prefix, suffix = found.groups()
    base = 1000 if (suffix or "").lower() == "b" and prefix else 1024
    power = _POWERS[prefix.lower()]
    return round(float(number) * float(base) ** power)


def clean(text: str) -> str:
    """Text that cannot steer a terminal: control characters are shown as `�`."""
    return "".join("�" if unicodedata.category(letter) in ("Cc", "Cs", "Cf") else letter for letter in text)


def width_of(text: str) -> int:
    """How many columns a terminal uses for it."""
    return sum(_columns(letter) for letter in text)


def _columns(letter: str) -> int:
    if unicodedata.combining(letter):
        return 0
    return 2 if unicodedata.east_asian_width(letter) in "WF" else 1


def fit(text: str, width: int) -> str:
    """The text in exactly so many columns: filled with spaces, or cut with `…`."""
    used = width_of(text)
    if used <= width:
        return text + " " * (width - used)
    kept, left = "", width - 1
    for letter in text:
        left -= _columns(letter)
        if left < 0:
            break
        kept += letter
    return fit(kept + "…", width) if width > 0 else ""
