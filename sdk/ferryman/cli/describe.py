"""A transfer in words and columns: its name, what it does, why it waits, one line of its progress. Pure."""

from __future__ import annotations

import textwrap
from datetime import datetime
from pathlib import PurePath
from typing import TYPE_CHECKING, Final

from ferryman.cli import units

if TYPE_CHECKING:
    from ferryman.progress import TransferInfo

#: Pieces of a line with their style; an empty style is the terminal's own.
Line = list[tuple[str, str]]

_WAITS: Final = {
    "slot": "a free slot",
    "network": "the network",
    "auth": "sign-in: run ferry login",
    "space": "disk space",
    "rate_limit": "the hub's rate limit",
    "hub": "the hub",
}
_STYLES: Final = {"running": "strong", "succeeded": "good", "failed": "bad", "cancelled": "dim", "paused": "wait"}
_NARROW: Final = 76
_MOST_NAME: Final = 32


def name(info: TransferInfo) -> str:
    """What people call it."""
    return units.clean(info.title or PurePath(info.local_path).name or info.kind)


def percent(info: TransferInfo) -> str:
    """How much of it is done; 100 % only when it succeeded, nothing while the size is unknown."""
    if info.state == "succeeded":
        return "100 %"
    if not info.size_bytes:
        return ""
    return f"{min(99, 100 * info.persisted_bytes // info.size_bytes)} %"


def amount(info: TransferInfo) -> str:
    """How much has moved of how much; empty while the size is unknown."""
    known = info.size_bytes or info.state == "succeeded"
    return f"{units.size(info.persisted_bytes)} of {units.size(info.size_bytes)}" if known else ""


def moves(info: TransferInfo) -> bool:
    """Whether bytes move now, so that its rate means something: not while it is committed or looked through."""
    return info.state == "running" and info.rate_bps > 0 and info.phase not in ("preparing", "committing", "verifying")


def present(info: TransferInfo) -> str:
    """How many of its files need not move, because the receiver had them when it began; empty for none."""
    if not info.present_file_count:
        return ""
    return f"already there {info.present_file_count:,} of {units.count(info.file_count, 'file')}"


def reason(info: TransferInfo, now: datetime) -> str:
    """Why it does not move, with the time of its next attempt; empty for one that moves or has ended well."""
    if info.state == "failed":
        return f"failed: {_error(info)}"
    if info.settled or not info.waiting_for:
        return ""
    if info.waiting_for == "user":
        return f"paused; continue with ferry resume {info.transfer_id}"
    words = [f"waiting for {_WAITS.get(info.waiting_for, info.waiting_for)}"]
    if info.waiting_for == "slot" and info.next_attempt_at is not None:
        words = []  # not for a slot: for its next attempt
    if info.next_attempt_at is not None:
        seconds = (info.next_attempt_at - now).total_seconds()
        clock = info.next_attempt_at.astimezone().strftime("%H:%M:%S")
        words.append(f"next try in {units.duration(seconds)} ({clock})" if seconds > 0 else "next try now")
    if info.error is not None:
        words.append(_error(info))
    return ", ".join(words)


def _error(info: TransferInfo) -> str:
    if info.error is None:
        return "it did not say why"
    return units.clean(info.error.message)


def state(info: TransferInfo) -> str:
    """One or two words: what it does now."""
    if info.state == "running":
        return info.phase or "running"
    if info.state == "queued" and info.waiting_for not in ("", "slot"):
        return "waiting"
    return {"succeeded": "done"}.get(info.state, info.state)


def style(info: TransferInfo) -> str:
    """The style of its state."""
    return "wait" if state(info) == "waiting" else _STYLES.get(info.state, "")


def bar(fraction: float, columns: int, *, ascii_only: bool = False) -> tuple[str, str]:
    """A bar of so many columns: the done part and the rest."""
    done = int(max(0.0, min(1.0, fraction)) * columns)
    full, empty = ("#", "-") if ascii_only else ("━", "─")
    return full * done, empty * (columns - done)


def progress(info: TransferInfo, columns: int, eta_s: float | None = None, *, ascii_only: bool = False) -> Line:
    """One line of progress that fits into so many columns, whatever they are."""
    figures = _figures(info, eta_s, narrow=columns < _NARROW)
    left = columns - units.width_of(figures) - 2
    name_width = max(4, min(_MOST_NAME, units.width_of(name(info)), left // 2 if columns < _NARROW else left - 12))
    bar_width = max(0, min(40, left - name_width - 1))
    fraction = 1.0 if info.state == "succeeded" else info.persisted_bytes / (info.size_bytes or 1)
    done, rest = bar(fraction, bar_width, ascii_only=ascii_only) if bar_width >= 4 else ("", "")
    pieces = [(units.fit(name(info), name_width), "strong"), (" ", ""), (done, style(info) or "good"), (rest, "dim")]
    return cut([*pieces, (" ", ""), (figures, "")], columns)


def _figures(info: TransferInfo, eta_s: float | None, *, narrow: bool) -> str:
    moving = moves(info)
    parts = [f"{percent(info):>5}"]
    if not narrow:
        parts.append(amount(info))
    if moving:
        parts.append(units.rate(info.rate_bps))
    if not (narrow and moving):
        parts.append(state(info))
    if eta_s is not None and not info.settled:
        parts.append(f"{units.countdown(eta_s)} left" if not narrow else units.countdown(eta_s))
    return "  ".join(part for part in parts if part)


def block(
    info: TransferInfo, columns: int, now: datetime, eta_s: float | None = None, *, ascii_only: bool = False
) -> list[Line]:
    """A transfer on a live screen: its line of progress; below it why it does not move, or what was there already."""
    lines = [progress(info, columns, eta_s, ascii_only=ascii_only)]
    if why := reason(info, now) or ("" if info.settled else present(info)):
        wrapped = textwrap.wrap(why, max(10, columns - 2), max_lines=3, placeholder=" …", break_on_hyphens=False)
        lines += [cut([(f"  {text}", style(info) or "wait")], columns) for text in wrapped]
    return lines


def cut(line: Line, columns: int) -> Line:
    """The line with what goes beyond the columns cut away."""
    kept: Line = []
    for text, look in line:
        room = columns - sum(units.width_of(piece) for piece, _ in kept)
        if room <= 0:
            break
        kept.append((text if units.width_of(text) <= room else units.fit(text, room), look))
    return kept


def heartbeat(info: TransferInfo, now: datetime, eta_s: float | None = None) -> str:
    """One whole line for a log, where there is no terminal."""
    parts = [
        f"{info.transfer_id} {name(info)}: {state(info)}",
        percent(info),
        amount(info),
        units.rate(info.rate_bps) if moves(info) else "",
        f"{units.countdown(eta_s)} left" if eta_s is not None and not info.settled else "",
        "" if info.settled else present(info),
        reason(info, now),
    ]
    return "  ".join(part for part in parts if part)
