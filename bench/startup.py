"""How long people wait before the first answer: SDK import, cold start to `auth_status`, to the first catalogue call.

`python bench/startup.py [RUNS]`. Medians. Times count from the start of the Python process that asks.
"""

from __future__ import annotations

import subprocess
import sys
import time

from figures import Figure, fresh_home, median, report, stop_daemon

IMPORT = "import ferryman; ferryman.Client"
ASK = """
from ferryman import Client
with Client() as client:
    client.auth_status()
    print(flush=True)
    client.projects.list()
    print(flush=True)
"""


def wall_ms(code: str) -> float:
    """How long a Python with this program runs."""
    start = time.perf_counter()
    subprocess.run([sys.executable, "-c", code], check=True)
    return (time.perf_counter() - start) * 1e3


def import_ms(runs: int) -> tuple[float, float]:
    """(bare Python, what importing the SDK adds), turn by turn, so that both see the same machine."""
    pairs = [(wall_ms("pass"), wall_ms(IMPORT)) for _ in range(runs)]
    return median([bare for bare, _ in pairs]), median([full - bare for bare, full in pairs])


def answers_s() -> tuple[float, float]:
    """(to `auth_status`, to the first catalogue call) of a new process when no daemon runs."""
    start = time.perf_counter()
    with subprocess.Popen([sys.executable, "-c", ASK], stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        times = []
        for _ in range(2):
            if not child.stdout.readline():
                raise SystemExit("the first call failed; the lines above say why")
            times.append(time.perf_counter() - start)
    return times[0], times[1]


def first_ever(runs: int) -> list[tuple[float, float]]:
    """On a machine that never had a daemon: everything is made."""
    found = []
    for _ in range(runs):
        with fresh_home():
            found.append(answers_s())
    return found


def next_morning(runs: int) -> list[tuple[float, float]]:
    """The state is there, the daemon is not."""
    found = []
    with fresh_home():
        answers_s()
        for _ in range(runs):
            stop_daemon()
            found.append(answers_s())
    return found


def main(runs: int) -> int:
    bare, added = import_ms(2 * runs)
    figures = [
        Figure("bare Python", bare, "ms", runs=2 * runs),
        Figure("import of the SDK, over that", added, "ms", bar=150, runs=2 * runs),
    ]
    for name, found in (("first start ever", first_ever(runs)), ("start on existing state", next_morning(runs))):
        figures.append(Figure(f"{name}: auth_status", median([a for a, _ in found]), "s", bar=0.5, runs=runs))
        figures.append(Figure(f"{name}: first catalogue call", median([c for _, c in found]), "s", bar=1.2, runs=runs))
    return report("startup", figures)


if __name__ == "__main__":
    sys.exit(main(int(sys.argv[1]) if len(sys.argv) > 1 else 5))
