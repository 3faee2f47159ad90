"""All benchmarks, the most important first, then the tables: `python bench/all.py [--minutes 10] [--only NAME …]`.

What has a result of the last day is not measured again (`--again` does), so it can be done in pieces: with `--minutes`
nothing is begun that would take longer than what is left, and transfers go on with the next round. `--list` says what
there is and how long it takes; `--quick` runs everything shrunk, to see that it works, and keeps that apart.
`bench/all` is the same with the project's own Python. Exit status 1 when a bar is missed, 2 when something failed.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from fnmatch import fnmatch
from pathlib import Path

from figures import RESULTS
from steps import STEPS, Step, is_whole, result

HERE = Path(__file__).resolve().parent
FRESH_S = 24 * 3600.0
MISSED, FAILED = 1, 2
ROUNDS = 5  #: of transfers, each of which can be a piece


def fresh(step: Step, results: Path, quick: bool) -> bool:
    """Whether this was measured whole, as it would be now, within a day."""
    last = result(step, results)
    if not last or time.time() - last["time"] > FRESH_S or last["command"] != step.command(quick):
        return False
    return is_whole(last)


def expected_minutes(step: Step, results: Path, quick: bool) -> float:
    """What the last run says, or what we know."""
    if quick:
        return 0.5
    last = result(step, results)
    if step.moves or last.get("command") != step.command(quick):
        return step.minutes
    return float(last["seconds"]) / 60


def chosen(only: Sequence[str], *, quick: bool = False) -> list[Step]:
    """Those of these names, which may be patterns; else all but those that want to be named."""
    found = [step for step in STEPS if step.shrunk or not quick]
    return [step for step in found if any(fnmatch(step.name, name) for name in only) or not (only or step.asked_for)]


def run(step: Step, results: Path, asked: argparse.Namespace, left_minutes: float) -> int:
    """0, or 1 when a bar is missed, or 2 when there is no result."""
    program, *words = step.command(asked.quick).split()[1:]
    if step.moves:
        words += ["--minutes", f"{left_minutes:.1f}", *(() if asked.again else ("--resume",))]
    began, env = time.time(), {**os.environ, "BENCH_RESULTS": str(results)}
    done = subprocess.run([sys.executable, HERE.parent / program, *words], check=False, env=env)
    written = result(step, results).get("time", 0.0) >= began
    return done.returncode if written or not done.returncode else FAILED


def _asked(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=float("inf"), help="begin nothing that would last longer")
    parser.add_argument("--only", nargs="+", default=(), metavar="NAME", help="only these, such as 'transfers-s3-*'")
    parser.add_argument("--again", action="store_true", help="also what has a result of the last day")
    parser.add_argument("--quick", action="store_true", help="everything shrunk; results in bench/results/quick")
    parser.add_argument("--list", action="store_true", help="what there is, and nothing else")
    return parser.parse_args(words)


def listed(steps: Sequence[Step], results: Path, quick: bool) -> Iterator[str]:
    for step in steps:
        state = "measured" if fresh(step, results, quick) else f"{expected_minutes(step, results, quick):.1f} min"
        yield f"{step.name:28} {state:>9}  {step.command(quick)}"


def main(words: Sequence[str]) -> int:
    asked = _asked(words)
    results, steps = RESULTS / "quick" if asked.quick else RESULTS, chosen(asked.only, quick=asked.quick)
    if asked.list:
        print("\n".join(listed(steps, results, asked.quick)))
        return 0
    ends, worst, late = time.monotonic() + 60 * asked.minutes, 0, []
    for step in steps:
        left, takes = (ends - time.monotonic()) / 60, expected_minutes(step, results, asked.quick)
        if not asked.again and fresh(step, results, asked.quick):
            print(f"── {step.name}: measured already", flush=True)
        elif left < (takes / ROUNDS if step.moves else takes):
            late.append(step.name)
        else:
            print(f"── {step.name}: about {takes:.1f} min", flush=True)
            worst = max(worst, run(step, results, asked, left))
    subprocess.run([sys.executable, HERE / "table.py", str(results)], check=False)
    print(f"\nno time was left for: {', '.join(late)}" if late else "")
    return worst


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
