"""Rows as columns of text: aligned, and cut to a terminal's width in the columns that may be cut. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from ferryman.cli import units

_LEAST = 6


def columns(
    head: Sequence[str], rows: Sequence[Sequence[str]], *, width: int | None = None, flexible: Sequence[int] = ()
) -> list[str]:
    """The rows below their head. With a `width`, the `flexible` columns (by index, first ones first) shrink to fit.

    Ids must stay whole to be copied: what still does not fit goes beyond the width, and the terminal wraps it.
    """
    cells = [[units.clean(cell) for cell in row] for row in rows]
    everything = [list(head), *cells]
    widths = [max(units.width_of(row[column]) for row in everything) for column in range(len(head))]
    if width is not None:
        _shrink(widths, width, flexible)
    return [_row(row, widths) for row in everything]


def _shrink(widths: list[int], width: int, flexible: Sequence[int]) -> None:
    for column in flexible:
        over = sum(widths) + 2 * (len(widths) - 1) - width
        if over > 0:
            widths[column] = max(min(widths[column], _LEAST), widths[column] - over)


def _row(row: Sequence[str], widths: Sequence[int]) -> str:
    return "  ".join(units.fit(cell, width) for cell, width in zip(row, widths, strict=True)).rstrip()


def pairs(rows: Sequence[tuple[str, str]]) -> list[str]:
    """Names and values, one a line; empty values are left out."""
    shown = [(name, units.clean(value)) for name, value in rows if value]
    longest = max((len(name) for name, _ in shown), default=0)
    return [f"{name.ljust(longest)}  {value}" for name, value in shown]
