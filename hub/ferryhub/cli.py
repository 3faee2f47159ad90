"""The command `ferryhub`: serve a hub, and make, list and revoke tokens while it serves. For the operator."""

from __future__ import annotations

import argparse
import asyncio
import logging
import os
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ferryhub.config import DEFAULT_LISTEN, HubSettings, default_state_dir
from ferrywire.reasons import FerryError

_DAY_US: Final = 24 * 3600 * 1_000_000
_MAX_DAYS: Final = 36_500
_DEFAULT_SCOPES: Final = ("read", "write")
_ALL_SCOPES: Final = ("read", "write", "admin")


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 misused."""
    args = _parser().parse_args(argv)
    os.umask(0o077)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s %(message)s")
    run: Callable[[argparse.Namespace], int] = args.run
    try:
        return run(args)
    except ModuleNotFoundError as missing:  # only the SDK was installed; it has this command too
        print(f'ferryhub: {missing.name} is not installed: run pip install "ferryman[hub]"', file=sys.stderr)  # noqa: T201
        return 1
    except (FerryError, OSError, RuntimeError) as error:
        print(f"ferryhub: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="ferryhub", description="Keeps a catalogue of research data, and the data.")
    parser.add_argument("--version", action="version", version=f"ferryhub {version('ferryman')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    token = commands.add_parser("token", help="make, list and revoke tokens").add_subparsers(
        required=True, metavar="COMMAND"
    )
    _add_token_commands(token)
    return parser


def _add_serve(commands: Any) -> None:
    serve = _command(commands, "serve", _serve, "answer calls until SIGTERM")
    where = serve.add_mutually_exclusive_group()
    where.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="default: %(default)s; port 0: any"
    )
    where.add_argument("--unix", type=Path, metavar="PATH", help="a Unix socket instead, for this user alone")


def _add_token_commands(commands: Any) -> None:
    create = _command(commands, "create", _create_token, "make a token and print it, once")
    create.add_argument("--email", required=True, help="whose token; the user is made when new")
    scopes = {"choices": _ALL_SCOPES, "help": f"may be repeated; default: {' '.join(_DEFAULT_SCOPES)}"}
    create.add_argument("--scope", action="append", **scopes)
    create.add_argument("--expires-days", type=float, metavar="N", help="default: never")
    _command(commands, "list", _list_tokens, "show all tokens, without their secrets")
    revoke = _command(commands, "revoke", _revoke_token, "make a token worthless, at the latest after half a minute")
    revoke.add_argument("token_id", metavar="ID", help="such as tok_01J…")


def _command(commands: Any, name: str, run: Callable[[argparse.Namespace], int], text: str) -> Any:
    command = commands.add_parser(name, help=text)
    command.add_argument("--state-dir", type=Path, metavar="DIR", help=f"default: {default_state_dir()}")
    command.set_defaults(run=run)
    return command


def _settings(args: argparse.Namespace) -> HubSettings:
    return HubSettings(state_dir=(args.state_dir or default_state_dir()).expanduser().absolute())


def _serve(args: argparse.Namespace) -> int:
    from ferryhub import server  # uvicorn is the server's alone

    place = server.unix_socket(args.unix.absolute()) if args.unix else server.tcp_socket(args.listen)
    with place as listener:
        server.serve(_settings(args), listener)
    return 0


def _create_token(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals, tokens

    if args.expires_days is not None and not 0 < args.expires_days <= _MAX_DAYS:
        raise RuntimeError(f"--expires-days {args.expires_days:g}: must be more than 0 and at most {_MAX_DAYS}")
    expires_at = None if args.expires_days is None else time.time_ns() // 1000 + int(args.expires_days * _DAY_US)

    def create(conn: Any) -> str:
        principal_id = principals.ensure_by_email(conn, args.email)
        return tokens.create(conn, principal_id, args.scope or _DEFAULT_SCOPES, expires_at=expires_at).secret

    _say(_in_catalogue(args, create))
    return 0


def _list_tokens(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import tokens

    for row in _in_catalogue(args, tokens.listing):
        state = "revoked" if row.revoked_at else f"expires {_day(row.expires_at)}" if row.expires_at else "no expiry"
        _say(f"{row.id}  {row.email}  {row.scopes}  made {_day(row.created_at)}  {state}")
    return 0


def _revoke_token(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import tokens

    if not _in_catalogue(args, tokens.revoke, args.token_id):
        raise RuntimeError(f"there is no token '{args.token_id}'; see 'ferryhub token list'")
    return 0


def _in_catalogue(args: argparse.Namespace, fn: Callable[..., Any], *given: Any) -> Any:
    """Run one function in a write transaction of the catalogue, beside a hub that may be serving."""

    async def run() -> Any:
        from ferryhub.app import open_catalogue

        async with open_catalogue(_settings(args)) as (database, _):
            return await database.write(fn, *given)

    return asyncio.run(run())


def _day(time_us: int) -> str:
    return datetime.fromtimestamp(time_us / 1e6, UTC).date().isoformat()


def _say(line: str) -> None:
    print(line)  # noqa: T201
