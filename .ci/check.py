"""What `./check` does once `.venv` is there: lint, types and all tests; `fast` leaves out the tests marked slow.

Every stage runs, whatever the ones before it said; the end names those that failed. Import layers, generated code, buf
and the documents are checked by tests (tests/architecture), so that `pytest` alone finds them too.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
BIN = ROOT / ".venv" / "bin"
#: Typed as strictly as the programs. The programs themselves are named in pyproject.toml.
ALSO_TYPED = ("tests", "bench", "docs/examples", ".ci/check.py", ".ci/venv.py", "proto/generate.py")
NO_TESTS_COLLECTED = 5


@dataclass(frozen=True)
class Stage:
    """One command and what it may return."""

    name: str
    command: Sequence[str | Path]
    fine: tuple[int, ...] = (0,)


def stages(fast: bool, reports: Path) -> list[Stage]:
    """All stages, cheapest first; the tests that need the machine for themselves come last and alone."""
    speed = " and not slow" if fast else ""
    workers = str(max(2, min(4, os.cpu_count() or 2)))
    pytest: list[str | Path] = [BIN / "python", "-m", "pytest", "-q", "-p", "no:cacheprovider"]
    pytest += ["--durations=10", "--durations-min=2"]
    return [
        Stage("ruff check", [BIN / "ruff", "check", "."]),
        Stage("ruff format", [BIN / "ruff", "format", "--check", "."]),
        Stage("mypy: programs", [BIN / "mypy"]),
        Stage("mypy: the rest", [BIN / "mypy", *ALSO_TYPED]),
        Stage(
            "tests",
            # Tests take from 1 ms to a minute: whoever has none left takes from the others.
            [
                *(*pytest, "-n", workers, "--dist", "worksteal", "-m", f"not serial{speed}"),
                f"--junitxml={reports / 'parallel.xml'}",
            ],
        ),
        Stage(
            "tests, one at a time",
            [*pytest, "-m", f"serial{speed}", f"--junitxml={reports / 'serial.xml'}"],
            fine=(0, NO_TESTS_COLLECTED),
        ),
    ]


def run(stage: Stage, env: dict[str, str]) -> bool:
    """Run one stage, showing what it says."""
    print(f"── {stage.name}", flush=True)
    start = time.monotonic()
    status = subprocess.run(stage.command, cwd=ROOT, env=env, check=False).returncode
    good = status in stage.fine
    print(f"   {'ok' if good else f'FAILED (exit {status})'}, {time.monotonic() - start:.1f} s", flush=True)
    return good


def environment() -> dict[str, str]:
    """The caller's, without what would send the tests to the caller's own daemon or hub."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("FERRYMAN_", "PYTEST_"))}
    path = f"{BIN}{os.pathsep}{kept.get('PATH', os.defpath)}"
    return {**kept, "PATH": path, "PYTHONDONTWRITEBYTECODE": "1", "MYPYPATH": "bench"}


def closing_line(reports: Path, took_s: float) -> str:
    """pytest's own last line, over both of its runs."""
    counts = dict.fromkeys(("tests", "failures", "errors", "skipped"), 0)
    for report in reports.glob("*.xml"):
        for suite in ElementTree.parse(report).getroot().iter("testsuite"):
            for key in counts:
                counts[key] += int(suite.get(key, "0"))
    passed = counts["tests"] - counts["failures"] - counts["errors"] - counts["skipped"]
    named = [(counts["failures"], "failed"), (passed, "passed"), (counts["skipped"], "skipped")]
    parts = [f"{count} {word}" for count, word in named if count]
    if counts["errors"]:
        parts.append(f"{counts['errors']} error{'s' if counts['errors'] > 1 else ''}")
    return f"===== {', '.join(parts) or 'no tests ran'} in {took_s:.2f}s ====="


def main(arguments: list[str]) -> int:
    if arguments not in ([], ["fast"]):
        print("usage: ./check [fast]", file=sys.stderr)
        return 2
    start = time.monotonic()
    with tempfile.TemporaryDirectory() as scratch:
        planned = stages(arguments == ["fast"], Path(scratch))
        env = environment()
        failed = [stage.name for stage in planned if not run(stage, env)]
        closing = closing_line(Path(scratch), time.monotonic() - start)
    print(f"\nfailed: {', '.join(failed)}" if failed else "\nall stages ok")
    print(closing)
    return 1 if failed else 0


if __name__ == "__main__":
    try:
        sys.exit(main(sys.argv[1:]))
    except KeyboardInterrupt:
        print("\ninterrupted", file=sys.stderr)
        sys.exit(130)
