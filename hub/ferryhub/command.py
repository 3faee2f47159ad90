"""What all commands of `ferryhub` share: the state directory, the catalogue beside a serving hub, output."""

from __future__ import annotations

import argparse
import asyncio
import re
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from ferryhub.config import DATABASE_VARIABLE, HubSettings, chosen_database, default_state_dir

_UNITS: Final = {"": 1, "K": 1 << 10, "M": 1 << 20, "G": 1 << 30, "T": 1 << 40, "P": 1 << 50}
_DAY_US: Final = 24 * 3600 * 1_000_000
_MAX_DAYS: Final = 36_500
_DEFAULT_SCOPES: Final = ("read", "write")
_ALL_SCOPES: Final = ("read", "write", "admin")

Run = Callable[[argparse.Namespace], int]


def add_command(commands: Any, name: str, run: Run, text: str) -> Any:
    """A subcommand with `--state-dir` and `--database`; `run` gets its words and returns the exit code."""
    command = commands.add_parser(name, allow_abbrev=False, help=text, description=text[0].upper() + text[1:] + ".")
    command.add_argument("--state-dir", type=Path, metavar="DIR", help=f"default: {default_state_dir()}")
    database = command.add_mutually_exclusive_group()
    text = f"PostgreSQL for the catalogue, without a password; default: ${DATABASE_VARIABLE}, else SQLite in DIR"
    database.add_argument("--database", default="", metavar="URL", help=text)
    database.add_argument("--database-file", type=Path, metavar="FILE", help="a file that holds the URL")
    command.set_defaults(run=run)
    return command


def state_dir(args: argparse.Namespace) -> Path:
    """Where the hub keeps everything."""
    chosen: Path = args.state_dir or default_state_dir()
    return chosen.expanduser().absolute()


def settings(args: argparse.Namespace, **more: Any) -> HubSettings:
    """What the words of every command say about the hub, and `more`. Errors: `RuntimeError`, `OSError`."""
    database_url = chosen_database(args.database, args.database_file)
    return HubSettings(state_dir=state_dir(args), database_url=database_url, **more)


def require_hub(chosen: HubSettings) -> None:
    """Not make a catalogue where one is only to be read. Error: `RuntimeError`."""
    if not chosen.database_url and not chosen.catalogue_path.exists():
        raise RuntimeError(f"there is no hub in {chosen.state_dir}; say where with --state-dir or --database-file")


def in_catalogue(args: argparse.Namespace, fn: Callable[..., Any], *given: Any) -> Any:
    """Run one function in a write transaction of the catalogue, beside a hub that may be serving."""

    async def run() -> Any:
        from ferryhub.app import open_catalogue

        async with open_catalogue(settings(args)) as (database, _):
            return await database.write(fn, *given)

    return asyncio.run(run())


def add_token_options(command: Any) -> None:
    """What a token may do and for how long."""
    scopes = {"choices": _ALL_SCOPES, "help": f"may be repeated; default: {' '.join(_DEFAULT_SCOPES)}"}
    command.add_argument("--scope", action="append", **scopes)
    command.add_argument("--expires-days", type=float, metavar="N", help="default: never")


def print_new_token(args: argparse.Namespace, principal: Callable[[Any], str]) -> int:
    """Make a token for the principal that the function finds, and print it, once."""
    from ferryhub.catalogue import tokens

    if args.expires_days is not None and not 0 < args.expires_days <= _MAX_DAYS:
        raise RuntimeError(f"--expires-days {args.expires_days:g}: must be more than 0 and at most {_MAX_DAYS}")
    expires_at = None if args.expires_days is None else time.time_ns() // 1000 + int(args.expires_days * _DAY_US)

    def create(conn: Any) -> str:
        return tokens.create(conn, principal(conn), args.scope or _DEFAULT_SCOPES, expires_at=expires_at).secret

    say(in_catalogue(args, create))
    return 0


def size(text: str) -> int:
    """A number of bytes, such as 500G. Error: `ArgumentTypeError`."""
    match = re.fullmatch(r"(\d{1,19})([KMGTP]?)(iB|B)?", text)
    if match is None:
        raise argparse.ArgumentTypeError(f"{text!r} is not a size such as 500G")
    return int(match[1]) * _UNITS[match[2]]


def size_text(count: int) -> str:
    """A number of bytes, to read: 500 GiB, 1.5 MiB, 12 bytes."""
    unit = next((unit for unit in "PTGMK" if count >= _UNITS[unit]), "")
    return f"{round(count / _UNITS[unit], 2):g} {unit}iB" if unit else f"{count} bytes"


def day(time_us: int) -> str:
    """A date, UTC."""
    return datetime.fromtimestamp(time_us / 1e6, UTC).date().isoformat()


def say(line: str) -> None:
    """One line for the operator."""
    print(line)  # noqa: T201
