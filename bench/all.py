"""All benchmarks, one after the other, then the table: `python bench/all.py`. Exit status 1 when a bar is missed.

Takes about an hour. `bench/all` is the same with the project's own Python.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

HERE = Path(__file__).resolve().parent
BENCHMARKS = ("startup", "crowd", "forwarding", "memory", "growth", "watchers", "sparse", "transfers")


def main() -> int:
    missed = 0
    for name in BENCHMARKS:
        print(f"── {name}", flush=True)
        missed += subprocess.run([sys.executable, HERE / f"{name}.py"], check=False).returncode != 0
    subprocess.run([sys.executable, HERE / "table.py"], check=False)
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())
