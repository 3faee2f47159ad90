"""Uploads and downloads beside everybody else, in turn, in the same run: seconds, processor time, memory.

`python bench/transfers.py [--target s3 hub embedded sink] [--load big medium small tree] [--rounds 5] [--size 1.0]
[--cold] [--who ferryman …]`. `--size` shrinks the loads. Ratios are of the same round, and their median is what counts.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

from contenders import OURS, Contender
from figures import Figure, median, report
from loads import GIB, LOADS, Load, in_cache, out_of_cache, remove, same
from measuring import Measured, settle
from targets import TARGETS, Target, why_not

#: (target, load, direction, what, against whom, bar): the bars of ours over theirs; against "" is the best peer.
BARS = (
    ("s3", "big", "up", "wall", "", 0.9),
    ("s3", "big", "up", "cpu", "", 0.35),
    ("s3", "big", "up", "cpu", "s5cmd", 0.1),
    ("s3", "big", "down", "wall", "", 0.9),
    ("s3", "big", "down", "cpu", "", 0.6),
    ("s3", "small", "up", "wall", "", 1 / 1.5),
    ("s3", "small", "down", "wall", "", 1 / 1.5),
    ("sink", "big", "up", "wall", "raw sendfile + XXH3", 1 / 0.6),
    ("embedded", "big", "up", "wall", "cp + fsync", 1.25),
)


@dataclass
class Runs:
    """All that was measured for one target and load: by direction and contender, round by round."""

    target: str
    load: Load
    found: dict[tuple[str, str], list[Measured]] = field(default_factory=dict)

    def add(self, direction: str, name: str, measured: Measured) -> None:
        self.found.setdefault((direction, name), []).append(measured)

    def directions(self) -> list[str]:
        return list(dict.fromkeys(direction for direction, _ in self.found))

    def names(self, direction: str) -> list[str]:
        return [name for way, name in self.found if way == direction]

    def values(self, direction: str, name: str, what: str) -> list[float]:
        return [getattr(one, f"{what}_s") for one in self.found[direction, name]]

    def best(self, direction: str, what: str) -> str:
        """The peer to beat; empty when there is none."""
        others = [name for name in self.names(direction) if name != OURS]
        return min(others, key=lambda name: median(self.values(direction, name, what)), default="")

    def ratio(self, direction: str, what: str, peer: str) -> float:
        pairs = zip(self.values(direction, OURS, what), self.values(direction, peer, what), strict=True)
        return median([ours / theirs for ours, theirs in pairs])


def measure(target: str, load: Load, *, rounds: int, cold: bool, who: Sequence[str]) -> Runs:
    runs = Runs(target, load)
    for number in range(rounds):
        root = Path(tempfile.mkdtemp(prefix="fyb", dir=load.root.parent))
        try:
            with TARGETS[target](root, load) as place:
                chosen = [one for one in place.contenders if not who or one.name in who]
                _round(runs, replace(place, contenders=chosen), root, number, cold=cold)
        finally:
            shutil.rmtree(root)
    return runs


def _round(runs: Runs, place: Target, root: Path, number: int, *, cold: bool) -> None:
    """Everybody in turn, each time another one first."""
    turn = number % len(place.contenders)
    for one in [*place.contenders[turn:], *place.contenders[:turn]]:
        load, key = runs.load, _key(one, runs.load)
        if cold:
            out_of_cache(load.root)
        else:
            in_cache(load)
        settle(2 * load.size_bytes)
        runs.add("up", one.name, one.up(load, key))
        if not one.downs:
            continue
        if cold:
            for store in place.stores:
                out_of_cache(store)
        dest = root / "down"
        settle(2 * load.size_bytes)
        dest.mkdir()
        runs.add("down", one.name, one.down(load, key, dest))
        if number == 0 and not same(load, dest):
            raise SystemExit(f"{one.name} brought back something else")
        remove(dest)
        print(f"  round {number + 1}: {one.name}", file=sys.stderr, flush=True)


def _key(one: Contender, load: Load) -> str:
    name = one.name.replace(" ", "-").replace("+", "and")
    return f"{name}/{load.name}/" if load.many else f"{name}/{load.root.name}"


def rows(runs: Runs) -> Iterator[dict[str, object]]:
    """Medians, one row for each direction and contender."""
    gib, count = runs.load.size_bytes / GIB, len(runs.load.files)
    for (direction, name), found in runs.found.items():
        wall_s = median([one.wall_s for one in found])
        yield {
            "direction": direction,
            "who": name,
            "wall_s": wall_s,
            "mb_per_s": runs.load.size_bytes / 1e6 / wall_s,
            "files_per_s": count / wall_s,
            "cpu_s": median([one.cpu_s for one in found]),
            "cpu_s_per_gib": median([one.cpu_s for one in found]) / gib,
            "server_cpu_s": median([one.server_cpu_s for one in found]),
            "anonymous_mb": max(one.anonymous_bytes for one in found) / 1e6,
        }


def show(runs: Runs) -> None:
    many = runs.load.many
    head = (
        f"{'':8}{'':20}{'wall s':>9}{'files/s' if many else 'MB/s':>9}{'CPU s':>8}{'CPU/GiB':>9}{'server':>8}{'MB':>7}"
    )
    print(f"{runs.target}: {runs.load.title}\n{head}")
    for row in rows(runs):
        rate = row["files_per_s" if many else "mb_per_s"]
        print(
            f"{row['direction']:8}{row['who']:20}{row['wall_s']:9.3f}{rate:9.0f}{row['cpu_s']:8.2f}"
            f"{row['cpu_s_per_gib']:9.2f}{row['server_cpu_s']:8.2f}{row['anonymous_mb']:7.0f}"
        )


def figures(runs: Runs) -> Iterator[Figure]:
    """Ours over the best peer's, with the bar where there is one; and over those that a bar names."""
    for direction in runs.directions():
        if OURS not in runs.names(direction):
            continue
        for what in ("wall", "cpu"):
            named = [bar for bar in BARS if bar[:4] == (runs.target, runs.load.name, direction, what)]
            against: dict[str, float | None] = {bar[4]: bar[5] for bar in named} or {"": None}
            for whom, bar in against.items():
                peer = whom or runs.best(direction, what)
                if peer in runs.names(direction):
                    name = f"{runs.target} {runs.load.title} {direction}, {what} over {peer}"
                    count = len(runs.found[direction, peer])
                    yield Figure(name, runs.ratio(direction, what, peer), "×", bar=bar, runs=count)


def main(words: Sequence[str]) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--load", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=float, default=1.0, metavar="SHARE", help="of the full loads; default 1")
    parser.add_argument("--cold", action="store_true", help="files are not in the page cache")
    parser.add_argument("--who", nargs="+", default=(), metavar="NAME", help="only these; default everybody")
    parser.add_argument("--dir", type=Path, help="where everything is made; default the system's temporary directory")
    asked = parser.parse_args(words)
    root, missed = Path(tempfile.mkdtemp(prefix="fyb", dir=asked.dir)), 0
    try:
        for name in asked.load:
            load = LOADS[name](root, asked.size)
            for target in asked.target:
                if reason := why_not(target, load):
                    print(f"{target}: {load.title}: skipped, {reason}")
                    continue
                runs = measure(target, load, rounds=asked.rounds, cold=asked.cold, who=asked.who)
                show(runs)
                title = f"transfers-{target}-{name}{'-cold' if asked.cold else ''}"
                missed += report(title, list(figures(runs)), list(rows(runs)))
            remove(load.root)
    finally:
        shutil.rmtree(root)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
