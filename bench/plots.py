"""Draws the published results as PNGs in docs/plots/: `python bench/plots.py`. Needs matplotlib (`.[bench]`).

Cost against size: queued transfers, watchers, processes that call, the size of a file; and transfers beside everybody
else. `--quick` draws those of `bench/all --quick` beside them, to see that it works.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from figures import RESULTS
from steps import published

PLOTS = Path(__file__).resolve().parents[1] / "docs" / "plots"
Page = dict[str, Any]
#: By what is drawn: (size, value).
Lines = dict[str, list[tuple[int, float]]]


@dataclass(frozen=True)
class Growth:
    """A plot of all figures whose names are of a form: its first group, or `size`, is the size."""

    name: str
    form: str
    size: str
    unit: str
    scale: Callable[[float, str], float] = lambda value, unit: value

    def lines(self, pages: Sequence[Page]) -> Lines:
        """The group `what` of a name says which line a figure is of."""
        lines: Lines = defaultdict(list)
        for figure in (figure for page in pages for figure in page["figures"]):
            if found := re.fullmatch(self.form, figure["name"]):
                point = int(found["size"].replace(",", "")), self.scale(figure["value"], figure["unit"])
                lines[found["what"]].append(point)
        return lines


GROWTHS = (
    Growth(
        "growth",
        r"(?P<size>[\d,]+) queued: (?P<what>.*)",
        "transfers queued",
        "ms",
        lambda value, unit: value * (1000 if unit == "s" else 1),
    ),
    Growth("watchers", r"(?P<size>\d+) watchers: (?P<what>a transfer|the daemon's CPU.*)", "watchers", "ms"),
    Growth("processes", r"(?P<what>bare echo|get_metadata) from (?P<size>\d+) processes", "processes", "calls/s"),
    Growth("file-size", r"(?P<size>[\d,]+) GiB (?P<what>.*)", "size of the file, GiB", "s"),
    Growth("file-size-memory", r"(?P<size>[\d,]+) GiB: (?P<what>.*)", "size of the file, GiB", "MB"),
)


def draw_growth(pyplot: Any, growth: Growth, lines: Lines) -> Any:
    """One line for each cost: flat is good. Both axes are logarithmic; that of sizes has a 0 where there is one."""
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, points in lines.items():
        axes.plot(*zip(*sorted(points), strict=True), marker="o", label=name)
    sizes = sorted({size for points in lines.values() for size, _ in points})
    axes.set_xscale("symlog" if sizes[0] == 0 else "log")
    axes.set_xticks(sizes, [f"{size:,}" for size in sizes])
    axes.set_yscale("log")
    least, most = axes.get_ylim()
    if most < 10 * least:  # or what is nearly flat would look steep
        axes.set_ylim(least / 2, 5 * least)
    axes.set_xlabel(growth.size)
    axes.set_ylabel(growth.unit)
    axes.legend(fontsize=8)
    return figure


def draw_transfers(pyplot: Any, page: Page) -> Any:
    """Seconds and CPU seconds of a load, up and down."""
    rows = page["details"]["rows"]
    ways = list(dict.fromkeys(row["direction"] for row in rows))
    figure, axes = pyplot.subplots(2, len(ways), figsize=(4.5 * len(ways), 5), squeeze=False)
    for column, way in enumerate(ways):
        chosen = sorted((row for row in rows if row["direction"] == way), key=lambda row: -float(row["wall_s"]))
        names = [row["who"] for row in chosen]
        for line, what in enumerate(("wall_s", "cpu_s")):
            colours = ["tab:orange" if name == "ferryman" else "tab:blue" for name in names]
            axes[line][column].barh(names, [row[what] for row in chosen], color=colours)
            axes[line][column].set_xlabel(f"{way}: {'seconds' if what == 'wall_s' else 'CPU seconds of the client'}")
    figure.suptitle(page["details"]["title"])
    return figure


def drawn(pyplot: Any, pages: Sequence[Page]) -> Iterator[tuple[str, Any]]:
    """(name, plot) of everything there are results for."""
    for growth in GROWTHS:
        if lines := growth.lines(pages):
            yield growth.name, draw_growth(pyplot, growth, lines)
    for page in pages:
        if page["benchmark"].startswith("transfers-"):
            yield page["benchmark"], draw_transfers(pyplot, page)


def main(words: Sequence[str]) -> int:
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: pip install -e '.[bench]'", file=sys.stderr)
        return 1
    matplotlib.use("Agg")
    from matplotlib import pyplot

    quick = RESULTS / "quick"
    pages = [json.loads(path.read_text()) for path in sorted(quick.glob("*.json"))] if "--quick" in words else []
    place = quick if "--quick" in words else PLOTS
    for name, figure in drawn(pyplot, pages or published()):
        figure.tight_layout()
        figure.savefig(place / f"{name}.png", dpi=80)
        pyplot.close(figure)
        print(place / f"{name}.png")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
