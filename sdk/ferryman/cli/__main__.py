"""`python -m ferryman.cli` is `ferry`."""

from __future__ import annotations

import sys

from ferryman.cli import main

if __name__ == "__main__":
    sys.exit(main())
