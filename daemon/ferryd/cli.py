"""The command `ferryd`: run the daemon. Step 2, started by the SDK, by a person or by a service manager."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from ferryd import VERSION
from ferryd.config import ConfigError, load
from ferryd.lifecycle.readiness import Readiness
from ferryd.lifecycle.uncollected import uncollected

#: Exit statuses, as the ones of `ferry`: usage errors, and a daemon that could not start.
_USAGE, _FAILED = 2, 1


def main(arguments: Sequence[str] | None = None) -> int:
    """Parse the command line and run. Returns the exit status."""
    options = _parser().parse_args(arguments)
    umask = os.umask(0o077)
    readiness = Readiness(options.ready_fd)
    try:
        config = load()
    except (ConfigError, OSError) as error:  # OSError: no home directory, an unreadable file
        readiness.error(str(error))
        print(f"ferryd: {error}", file=sys.stderr)  # noqa: T201 — a command's own words
        return _USAGE
    try:
        with uncollected():
            from ferryd.app import run  # after parsing, so that --help and --version are quick
    except ModuleNotFoundError as missing:  # only the SDK was installed; it has this command too
        problem = f'the package {missing.name} is not installed: run pip install "/path/to/ferryman[daemon]"'
        readiness.error(problem)
        print(f"ferryd: {problem}", file=sys.stderr)  # noqa: T201
        return _FAILED

    return run(config, readiness, umask)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ferryd", description="The Ferryman transfer daemon: one per user.")
    parser.add_argument("--version", action="version", version=f"ferryd {VERSION}")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run in the foreground until told to stop or idle for long")
    run.add_argument("--ready-fd", type=int, default=None, metavar="N", help="report the start as one line on this fd")
    return parser
