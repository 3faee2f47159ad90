"""Puts the last results into the documents: `python bench/publish.py [DIRECTORY]`.

Those of full size go into docs/performance.jsonl; plots and tables are made of it. What was not measured now stays.
"""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import plots
from figures import RESULTS
from steps import PUBLISHED, publish


def main(words: list[str]) -> int:
    publish(Path(words[0]) if words else RESULTS)
    plots.main([])
    return subprocess.run([sys.executable, PUBLISHED.with_name("generate.py")], check=False).returncode


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
