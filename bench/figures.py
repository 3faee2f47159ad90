"""What every benchmark needs: a home for a daemon of its own, medians, a table, and a JSON file in bench/results/."""

from __future__ import annotations

import json
import os
import platform
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from ferryman import Client, DaemonError

HERE = Path(__file__).resolve().parent
#: Where results are kept. The environment names another place for runs that are no measurement.
RESULTS = Path(os.environ.get("BENCH_RESULTS") or HERE / "results")
_BEGAN, _LOAD = time.time(), os.getloadavg()[0]


@dataclass(frozen=True)
class Figure:
    """One measured value. `bar` is what it must not exceed, or with `least` must reach; None where it only informs."""

    name: str
    value: float
    unit: str
    bar: float | None = None
    runs: int = 1
    least: bool = False

    @property
    def good(self) -> bool:
        if self.bar is None:
            return True
        return self.value >= self.bar if self.least else self.value <= self.bar

    @property
    def wanted(self) -> str:
        """The bar in words; empty where there is none."""
        return "" if self.bar is None else f"at {'least' if self.least else 'most'} {self.bar:g} {self.unit}"


@contextmanager
def fresh_home() -> Iterator[Path]:
    """A short directory where a daemon of our own lives, by environment; the daemon is stopped at the end."""
    root = Path(tempfile.mkdtemp(prefix="fyb"))
    saved = dict(os.environ)
    for name in [name for name in os.environ if name.startswith("FERRYMAN_")]:
        del os.environ[name]
    for kind in ("STATE", "CONFIG", "RUNTIME"):
        os.environ[f"FERRYMAN_{kind}_DIR"] = str(root / kind.lower())
        (root / kind.lower()).mkdir(mode=0o700)
    os.environ["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{os.environ.get('PATH', os.defpath)}"
    try:
        yield root
    finally:
        stop_daemon()
        os.environ.clear()
        os.environ.update(saved)
        shutil.rmtree(root, ignore_errors=True)


def stop_daemon() -> None:
    """Stop the daemon of this home and wait until it has gone, so that the next start is a cold one."""
    with suppress(DaemonError), Client(auto_start=False) as client:
        pid = client.daemon.info().pid
        client.daemon.shutdown()
        with suppress(ProcessLookupError):
            while True:
                os.kill(pid, 0)
                time.sleep(0.01)


def median(values: Sequence[float]) -> float:
    return statistics.median(values)


def quantile(values: Sequence[float], share: float) -> float:
    """The value below which `share` of them lie."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))]


def report(benchmark: str, figures: Sequence[Figure], details: object = None) -> int:
    """Print a table, write JSON, with what else is worth keeping, and return 1 when a bar is missed."""
    width = max((len(figure.name) for figure in figures), default=0)
    for figure in figures:
        bar = f"  {figure.wanted}: {'ok' if figure.good else 'MISSED'}" if figure.wanted else ""
        print(f"{figure.name:<{width}}  {figure.value:10.3f} {figure.unit:<3}{bar}")
    page = {"benchmark": benchmark, "time": time.time(), "seconds": time.time() - _BEGAN, "load": _LOAD}
    page |= {"machine": machine(), "commit": _commit(), "command": _command()}
    page |= {"figures": [asdict(figure) for figure in figures], "details": details}
    RESULTS.mkdir(parents=True, exist_ok=True)
    (RESULTS / f"{benchmark}.json").write_text(json.dumps(page, indent=1))
    return 0 if all(figure.good for figure in figures) else 1


def machine() -> dict[str, object]:
    """What the figures were measured on."""
    memory = psutil.virtual_memory().total / (1 << 30)
    known: dict[str, object] = {"cpus": os.cpu_count(), "processor": _processor(), "memory_gib": round(memory)}
    return known | {"system": platform.platform(), "python": platform.python_version()}


def _processor() -> str:
    """As Linux calls it; empty elsewhere."""
    with suppress(OSError):
        found = re.search(r"model name\s*: (.*)", Path("/proc/cpuinfo").read_text())
        return found[1] if found else ""
    return ""


def _command() -> str:
    """As one would type it in the checkout; without what only says how much of it there was time for."""
    words = " ".join(["python", f"bench/{Path(sys.argv[0]).name}", *sys.argv[1:]])
    return re.sub(r" --resume| --minutes \S+", "", words)


def _commit() -> str:
    """Of this checkout; empty where it is none."""
    words = ["git", "-C", str(HERE), "describe", "--always", "--dirty", "--exclude=*"]
    with suppress(OSError):
        return subprocess.run(words, capture_output=True, text=True, check=False).stdout.strip()
    return ""
