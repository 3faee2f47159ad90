"""Uploads and downloads beside everybody else, in turn, in the same run: seconds, processor time, memory.

`python bench/transfers.py [--target s3 s3-far s3-tls hub embedded sink] [--load big medium small assets tree]
[--rounds 5] [--size 1.0] [--cold] [--who ferryman …] [--resume] [--minutes M]`. `--size` shrinks the loads. Ratios are
of the same round, and their median counts. A peer that is behind the best one by more than a tie in everything after
two rounds rests; after one, whoever takes three times as much as the best, or ten times as long as we and no less
processor time. `--resume` keeps the rounds that the last result has, if it was asked for the same.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from contenders import OURS, Contender
from figures import RESULTS, Figure, median, report
from loads import LOADS, Load, in_cache, out_of_cache, remove, same
from rounds import COSTS, Runs
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


def measure(target: str, load: Load, asked: argparse.Namespace, ends: float) -> int:
    """Round after round, each kept when it is over, until there are as many as asked for or there is no time for one.

    Returns 1 when a bar is missed.
    """
    title, settings = _title(target, load, asked), _settings(load, asked)
    runs = Runs(load.size_bytes, len(load.files))
    if asked.resume:
        runs.restore(_kept(title, settings))
    took_s, missed = 0.0, 0
    while runs.count < asked.rounds and time.monotonic() + took_s < ends:
        began = time.monotonic()
        _round(runs, target, load, asked)
        took_s = time.monotonic() - began
        details = {"rows": list(runs.rows()), "runs": runs.kept(), "settings": settings}
        details |= {"complete": runs.count >= asked.rounds, "title": f"{target}: {load.title}"}
        print(f"{title}: round {runs.count} of {asked.rounds}, {took_s:.0f} s", flush=True)
        missed = report(title, list(figures(runs, target, load, cold=asked.cold)), details)
    show(runs, f"{target}: {load.title}", many=load.many)
    return missed


def _title(target: str, load: Load, asked: argparse.Namespace) -> str:
    return f"transfers-{target}-{load.name}{'-cold' if asked.cold else ''}"


def _settings(load: Load, asked: argparse.Namespace) -> dict[str, object]:
    """What must be the same for rounds to be of one kind."""
    return {"load": load.title, "bytes": load.size_bytes, "cold": asked.cold, "who": sorted(asked.who)}


def _kept(title: str, settings: dict[str, object]) -> list[dict[str, Any]]:
    """The rounds of the last result, if they are of this kind."""
    path = RESULTS / f"{title}.json"
    details = json.loads(path.read_text())["details"] if path.exists() else {}
    found: list[dict[str, Any]] = details["runs"] if details.get("settings") == settings else []
    return found


def _round(runs: Runs, target: str, load: Load, asked: argparse.Namespace) -> None:
    """Everybody in turn at a fresh target, each time another one first."""
    number, root = runs.count, Path(tempfile.mkdtemp(prefix="fyb", dir=load.root.parent))
    fresh = Runs(runs.size_bytes, runs.files)
    wanted = {bar[4] for bar in BARS if bar[:2] == (target, load.name)}
    try:
        with TARGETS[target](root, load) as place:
            chosen = [one for one in place.contenders if not asked.who or one.name in asked.who]
            chosen = [one for one in chosen if one.name in wanted or not runs.rests(one.name)]
            turn = number % len(chosen)
            for one in [*chosen[turn:], *chosen[:turn]]:
                _moved(fresh, number, one, load, replace(place, contenders=chosen), root / "down", cold=asked.cold)
    finally:
        shutil.rmtree(root, ignore_errors=True)
    runs.restore(fresh.kept())


def _moved(runs: Runs, number: int, one: Contender, load: Load, place: Target, dest: Path, *, cold: bool) -> None:
    """One contender, up and down. What the first round brings back is compared."""
    key = _key(one, load)

    def ready_to_send() -> None:
        if cold:
            out_of_cache(load.root)
        else:
            in_cache(load)
        os.sync()  # what others wrote is their affair

    def ready_to_fetch() -> None:
        for store in place.stores if cold else ():
            out_of_cache(store)
        os.sync()

    up = one.up(load, key, ready_to_send)
    runs.add(number, "up", one.name, up)
    print(f"  {one.name}: up {up.wall_s:.2f} s, {up.cpu_s:.2f} CPU-s", file=sys.stderr, flush=True)
    if not one.downs:
        return
    dest.mkdir()
    down = one.down(load, key, dest, ready_to_fetch)
    runs.add(number, "down", one.name, down)
    print(f"  {one.name}: down {down.wall_s:.2f} s, {down.cpu_s:.2f} CPU-s", file=sys.stderr, flush=True)
    if number == 0 and not same(load, dest):
        raise SystemExit(f"{one.name} brought back something else")
    if load.many:
        # Kept until all is over: ext4 looks anew at every place where a file was removed in the last minutes, and the
        # next one to make files would pay for that, up to 1 ms for each.
        dest.rename(load.root.parent / f"{_key(one, load)}{number}-{dest.parent.name}".replace("/", "-"))
    else:
        remove(dest)


def _key(one: Contender, load: Load) -> str:
    name = one.name.replace(" ", "-").replace("+", "and")
    return f"{name}/{load.name}/" if load.many else f"{name}/{load.root.name}"


def show(runs: Runs, title: str, *, many: bool) -> None:
    shown = {"rounds": "rounds", "wall_s": "wall s"} | ({"files_per_s": "files/s"} if many else {"mb_per_s": "MB/s"})
    shown |= {"cpu_s": "CPU s", "cpu_s_per_gib": "CPU/GiB", "server_cpu_s": "server", "anonymous_mb": "MB"}
    shown |= {"wall_ratio": "ours/it", "cpu_ratio": "CPU"}
    print(f"{title}\n{'':26}" + "".join(f"{word:>9}" for word in shown.values()))
    for row in runs.rows():
        values = "".join(f"{row[name]:9.2f}" for name in shown if name in row)
        print(f"{row['direction']:6}{row['who']:20}{values}")


def figures(runs: Runs, target: str, load: Load, *, cold: bool) -> Iterator[Figure]:
    """Ours over the best peer's, with the bar where there is one; and over those that a bar names."""
    for direction in runs.directions():
        if OURS not in runs.names(direction):
            continue
        for what in COSTS:
            named = [bar for bar in BARS if bar[:4] == (target, load.name, direction, what)]
            against: dict[str, float | None] = {bar[4]: bar[5] for bar in named} or {"": None}
            for whom, bar in against.items():
                peer = whom or runs.best(direction, what)
                if peer in runs.names(direction):
                    found = runs.paired(direction, what, peer)
                    name = f"{target} {load.title}{' cold' if cold else ''} {direction}, {what} over {peer}"
                    yield Figure(name, median(found), "×", bar=bar, runs=len(found))


def main(words: Sequence[str]) -> int:
    asked = _asked(words)
    root, missed = Path(tempfile.mkdtemp(prefix="fyb", dir=asked.dir)), 0
    ends = time.monotonic() + 60 * asked.minutes
    try:
        for name in asked.load:
            load = LOADS[name](root, asked.size)
            for target in asked.target:
                if reason := why_not(target, load):
                    print(f"{target}: {load.title}: skipped, {reason}")
                else:
                    missed += measure(target, load, asked, ends)
            remove(load.root)
    finally:
        shutil.rmtree(root)
    return min(1, missed)


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--target", nargs="+", choices=TARGETS, default=list(TARGETS))
    parser.add_argument("--load", nargs="+", choices=LOADS, default=list(LOADS))
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--size", type=float, default=1.0, metavar="SHARE", help="of the full loads; default 1")
    parser.add_argument("--cold", action="store_true", help="files are not in the page cache")
    parser.add_argument("--who", nargs="+", default=(), metavar="NAME", help="only these; default everybody")
    parser.add_argument("--dir", type=Path, help="where everything is made; default the system's temporary directory")
    parser.add_argument("--resume", action="store_true", help="add to the rounds of the last result")
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin no round that would last longer")
    return parser.parse_args(words)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
