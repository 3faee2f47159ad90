"""The last results as the tables of docs/performance.md: `python bench/table.py`."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from figures import RESULTS


def pages() -> Iterator[dict[str, Any]]:
    for path in sorted(RESULTS.glob("*.json"), key=lambda path: path.stat().st_mtime):
        yield json.loads(Path(path).read_text())


def bars(page: dict[str, Any]) -> Iterator[str]:
    """The figures that have one."""
    for figure in page["figures"]:
        if figure["bar"] is None:
            continue
        good = figure["value"] >= figure["bar"] if figure["least"] else figure["value"] <= figure["bar"]
        sign = "≥" if figure["least"] else "≤"
        words = f"{sign} {figure['bar']:.3g} {figure['unit']} | {figure['value']:.3g} {figure['unit']}"
        yield f"| {figure['name']} | {words} | {'met' if good else '**not met**'} | {figure['runs']} |"


def rows(page: dict[str, Any]) -> Iterator[str]:
    """Everybody who moved a load."""
    yield f"\n{page['benchmark']}, {time.strftime('%Y-%m-%d', time.gmtime(page['time']))}\n"
    yield "| | who | wall s | MB/s | files/s | client CPU-s/GiB | server CPU s | anonymous MB |"
    yield "|---|---|---|---|---|---|---|---|"
    for row in page["details"]:
        yield (
            f"| {row['direction']} | {row['who']} | {row['wall_s']:.2f} | {row['mb_per_s']:,.0f} | "
            f"{row['files_per_s']:,.0f} | {row['cpu_s_per_gib']:,.2f} | {row['server_cpu_s']:.1f} | "
            f"{row['anonymous_mb']:,.0f} |"
        )


def main() -> None:
    print("| figure | bar | measured | | runs |\n|---|---|---|---|---|")
    for page in pages():
        print("\n".join(bars(page)), end="\n" if list(bars(page)) else "")
    for page in pages():
        if page["details"]:
            print("\n".join(rows(page)))


if __name__ == "__main__":
    main()
