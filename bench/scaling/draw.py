"""Draws cost against size, for docs/scale.md. Needs matplotlib (the extra `bench`)."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib as mpl

from scaling.measure import Cost

#: What each plot shows: file, title, operations by the start of their name.
PLOTS: Final = (
    ("scale-reads.png", "get and list", ("get", "list a project", "list a collection", "list all")),
    ("scale-lineage.png", "lineage of 1,000 assets", ("lineage",)),
    ("scale-writes.png", "upload and sweep", ("create", "commit", "sweep")),
)
Costs = Mapping[tuple[str, int], Mapping[str, Cost]]


def draw(costs: Costs, into: Path) -> None:
    """Write one picture per group of operations: PostgreSQL beside SQLite."""
    mpl.use("Agg")
    import matplotlib.pyplot as plt

    databases = list(dict.fromkeys(database for database, _ in costs))
    for file, title, starts in PLOTS:
        figure, axes = plt.subplots(1, len(databases), sharey=True, figsize=(6 * len(databases), 4.2), squeeze=False)
        for axis, database in zip(axes[0], databases, strict=True):
            sizes = sorted(size for name, size in costs if name == database)
            for operation in costs[database, sizes[0]]:
                if operation.startswith(starts):
                    each = [costs[database, size][operation].busy_ms for size in sizes]
                    axis.plot(sizes, each, marker="o", label=operation)
            axis.set(xscale="log", yscale="log", xlabel="assets (ten links each)", title=f"{database}: {title}")
            axis.grid(visible=True, which="both", alpha=0.3)
            axis.legend(fontsize=6)
        axes[0][0].set_ylabel("ms of processor time")
        figure.tight_layout()
        figure.savefig(into / file, dpi=90, metadata={"Software": ""})
        plt.close(figure)
