"""The `ferry` command: what people type in a terminal. Upload step 0, in front of the SDK.

It uses the public SDK and nothing else: no decision about a transfer is made here. `main` turns what can go wrong into
one sentence and an exit code; the commands are in one module per group and are imported when they are called.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (`exits.py`). Never shows a traceback unless `--debug` asks for it."""
    try:
        from ferryman.cli import root

        return root.run(sys.argv[1:] if arguments is None else list(arguments))
    except ModuleNotFoundError as error:
        if (error.name or "").partition(".")[0] != "typer":
            raise
        sys.stderr.write('ferry: a part of the command is not installed. Run: pip install "/path/to/ferryman[cli]"\n')
        return 1
    except KeyboardInterrupt:  # so early that there is nothing to say
        return 130
