"""Draws the last results as PNGs in docs/plots/: `python bench/plots.py`. Needs matplotlib (`.[bench]`).

Growth is cost against the number of queued transfers; transfers are seconds and processor time beside everybody else.
"""

from __future__ import annotations

import json
import re
import sys
from collections import defaultdict
from pathlib import Path
from typing import Any

from figures import RESULTS

PLOTS = Path(__file__).resolve().parents[1] / "docs" / "plots"


def growth(pyplot: Any, page: dict[str, Any]) -> None:
    """One line for each cost, both axes logarithmic: flat is good."""
    lines: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for figure in page["figures"]:
        found = re.fullmatch(r"([\d,]+) queued: (.*)", figure["name"])
        if found:
            in_ms = figure["value"] * (1000 if figure["unit"] == "s" else 1)
            lines[found[2]].append((int(found[1].replace(",", "")), in_ms))
    figure, axes = pyplot.subplots(figsize=(7, 4.5))
    for name, points in lines.items():
        axes.loglog(*zip(*points, strict=True), marker="o", label=name)
    axes.set_xlabel("transfers queued")
    axes.set_ylabel("ms")
    axes.legend(fontsize=8)
    _save(figure, "growth")


def transfers(pyplot: Any, page: dict[str, Any]) -> None:
    """Seconds and CPU seconds of a load, up and down."""
    rows = page["details"]
    ways = list(dict.fromkeys(row["direction"] for row in rows))
    figure, axes = pyplot.subplots(2, len(ways), figsize=(4.5 * len(ways), 5), squeeze=False)
    for column, way in enumerate(ways):
        chosen = sorted((row for row in rows if row["direction"] == way), key=lambda row: -float(row["wall_s"]))
        names = [row["who"] for row in chosen]
        for line, what in enumerate(("wall_s", "cpu_s")):
            colours = ["tab:orange" if name == "ferryman" else "tab:blue" for name in names]
            axes[line][column].barh(names, [row[what] for row in chosen], color=colours)
            axes[line][column].set_xlabel(f"{way}: {'seconds' if what == 'wall_s' else 'CPU seconds of the client'}")
    _save(figure, page["benchmark"])


def _save(figure: Any, name: str) -> None:
    PLOTS.mkdir(exist_ok=True)
    figure.tight_layout()
    figure.savefig(PLOTS / f"{name}.png", dpi=90)
    print(PLOTS / f"{name}.png")


def main() -> int:
    try:
        import matplotlib
    except ImportError:
        print("matplotlib is not installed: pip install -e '.[bench]'", file=sys.stderr)
        return 1
    matplotlib.use("Agg")
    from matplotlib import pyplot

    for path in sorted(RESULTS.glob("*.json")):
        page = json.loads(path.read_text())
        if path.stem == "growth":
            growth(pyplot, page)
        elif path.stem.startswith("transfers-"):
            transfers(pyplot, page)
    return 0


if __name__ == "__main__":
    sys.exit(main())
