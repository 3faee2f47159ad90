"""Results as the tables of docs/performance.md and docs/measured.md: `python bench/table.py [DIRECTORY]` prints them.

What the documents show is made of docs/performance.jsonl, where `bench/publish.py` puts results.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from figures import RESULTS
from steps import STEPS, result

Page = dict[str, Any]
_BARS = "| figure | bar | measured | | rounds |\n|---|---|---|---|---|"
_ROWS = (
    "| | who | rounds | wall s | MB/s | files/s | client CPU-s | CPU-s/GiB | server CPU-s | anonymous MB "
    "| ours ÷ it, wall | CPU |\n|---|---|---|---|---|---|---|---|---|---|---|---|"
)
_FIGURES = "| figure | measured | rounds |\n|---|---|---|"


def bars(pages: Sequence[Page]) -> str:
    """The figures that have one, and on what they were measured."""
    if not pages:
        return "Nothing is published yet: `bench/all`, then `python bench/publish.py`."
    rows = [_bar(figure) for page in pages for figure in page["figures"] if figure["bar"] is not None]
    return "\n".join([_machine(pages), "", _BARS, *rows])


def whole(pages: Sequence[Page], plots: Sequence[str] = ()) -> str:
    """Everything, with plots of those names."""
    return "\n\n".join(_section(page, plots) for page in pages) or "Nothing is published yet."


def _machine(pages: Sequence[Page]) -> str:
    known, days = pages[-1]["machine"], sorted({_time(page)[:10] for page in pages})
    return (
        f"{' to '.join(dict.fromkeys((days[0], days[-1])))}: {known['cpus']} processors ({known['processor']}), "
        f"{known['memory_gib']} GiB, {known['system']}, Python {known['python']}. The load of the machine before a "
        f"benchmark began was {max(page['load'] for page in pages):.1f} at most."
    )


def _bar(figure: dict[str, Any]) -> str:
    good = figure["value"] >= figure["bar"] if figure["least"] else figure["value"] <= figure["bar"]
    words = f"{'≥' if figure['least'] else '≤'} {figure['bar']:.3g} {figure['unit']} | {_value(figure)}"
    return f"| {figure['name']} | {words} | {'met' if good else '**not met**'} | {figure['runs']} |"


def _section(page: Page, plots: Sequence[str]) -> str:
    details = page["details"] if isinstance(page["details"], dict) else {}
    head = f"## {details.get('title', page['benchmark'])}{', cold' if page['benchmark'].endswith('-cold') else ''}"
    where = f"`{page['command']}`, {_time(page)}, commit {page['commit']}, load before {page['load']:.1f}"
    name = page["benchmark"]
    rows = [*_rows(details["rows"]), *_ratios(page["figures"])] if details else list(_figures(page["figures"]))
    drawn = ["", f"![{name}](plots/{name}.png)"] if name in plots else []
    return "\n".join([head, "", where, "", *rows, *drawn])


def _rows(rows: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield _ROWS
    for row in rows:
        ratios = [f"{row[name]:.2f}" if name in row else "" for name in ("wall_ratio", "cpu_ratio")]
        yield (
            f"| {row['direction']} | {row['who']} | {row['rounds']} | {row['wall_s']:.2f} | {row['mb_per_s']:,.0f} "
            f"| {row['files_per_s']:,.0f} | {row['cpu_s']:.2f} | {row['cpu_s_per_gib']:,.2f} "
            f"| {row['server_cpu_s']:.1f} | {row['anonymous_mb']:,.0f} | {ratios[0]} | {ratios[1]} |"
        )


def _ratios(figures: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield ""
    yield from (f"* {figure['name']}: {_value(figure)}" for figure in figures)


def _figures(figures: Sequence[dict[str, Any]]) -> Iterator[str]:
    yield _FIGURES
    yield from (f"| {figure['name']} | {_value(figure)} | {figure['runs']} |" for figure in figures)


def _value(figure: dict[str, Any]) -> str:
    return f"{figure['value']:{',.0f' if figure['value'] >= 1000 else '.3g'}} {figure['unit']}".rstrip()


def _time(page: Page) -> str:
    return time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(page["time"]))


def main(words: Sequence[str]) -> int:
    folder = Path(words[0]) if words else RESULTS
    pages = [page for page in (result(step, folder) for step in STEPS) if page]
    print(f"{bars(pages)}\n\n{whole(pages)}")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
