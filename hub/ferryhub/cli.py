"""The command `ferryhub`: serve a hub, and make, list and revoke tokens while it serves. For the operator.

`ferryhub users …` is in `users.py`, `ferryhub storage …` and `ferryhub allocations …` in `storage.py`.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any, Final

from ferryhub import logs
from ferryhub.backup import add_backup_commands
from ferryhub.command import Run, add_command, add_token_options, day, in_catalogue, print_new_token, say, settings
from ferryhub.config import DEFAULT_LISTEN, HubSettings, ProviderSettings
from ferryhub.storage import add_allocation_commands, add_storage_commands
from ferryhub.users import add_user_commands
from ferryhub.verify import add_verify_command
from ferrywire.reasons import FerryError

#: Packages that not every hub needs, by the extra that brings them.
_EXTRAS: Final = {"psycopg": "postgres", "boto3": "s3", "prometheus_client": "metrics"}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; returns the exit code: 0 done, 1 failed, 2 misused."""
    args = _parser().parse_args(argv)
    os.umask(0o077)
    logs.set_up(getattr(args, "log_format", "text"))
    run: Run = args.run
    try:
        return run(args)
    except ModuleNotFoundError as missing:  # only the SDK was installed; it has this command too
        extra = _EXTRAS.get(missing.name or "", "hub")
        install = f'run pip install "/path/to/ferryman[{extra}]"'
        print(f"ferryhub: {missing.name} is not installed: {install}", file=sys.stderr)  # noqa: T201
        return 1
    except (FerryError, OSError, RuntimeError) as error:
        print(f"ferryhub: {error}", file=sys.stderr)  # noqa: T201
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="ferryhub", allow_abbrev=False, description="Keeps a catalogue of research data, and the data."
    )
    parser.add_argument("--version", action="version", version=f"ferryhub {version('ferryman')}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    _add_serve(commands)
    users = commands.add_parser("users", help="make, list and shut out users, bots and groups")
    add_user_commands(users.add_subparsers(required=True, metavar="COMMAND"))
    storage = commands.add_parser("storage", help="add and choose places for bytes, such as an S3 store")
    add_storage_commands(storage.add_subparsers(required=True, metavar="COMMAND"))
    allocations = commands.add_parser("allocations", help="say who may keep how many bytes where")
    add_allocation_commands(allocations.add_subparsers(required=True, metavar="COMMAND"))
    add_verify_command(commands)
    add_backup_commands(commands)
    token = commands.add_parser("token", help="make, list and revoke tokens")
    _add_token_commands(token.add_subparsers(required=True, metavar="COMMAND"))
    return parser


def _add_serve(commands: Any) -> None:
    serve = add_command(commands, "serve", _serve, "answer calls until SIGTERM")
    where = serve.add_mutually_exclusive_group()
    where.add_argument(
        "--listen", default=DEFAULT_LISTEN, metavar="HOST:PORT", help="default: %(default)s; port 0: any"
    )
    where.add_argument("--unix", type=Path, metavar="PATH", help="a Unix socket instead, for this user alone")
    serve.add_argument("--tls-cert", type=Path, metavar="PEM", help="speak TLS with this certificate and its chain")
    serve.add_argument("--tls-key", type=Path, metavar="PEM", help="the certificate's key")
    serve.add_argument(
        "--public-url", default="", metavar="URL", help="where users find the hub; default: as they call it"
    )
    serve.add_argument("--metrics", default="", metavar="HOST:PORT", help="let Prometheus fetch metrics here")
    serve.add_argument("--log-format", choices=logs.FORMATS, default="text", help="default: %(default)s")
    drain = "how long to answer on SIGTERM while /readyz sends proxies elsewhere; default: %(default)s"
    serve.add_argument("--drain-delay", type=_seconds, default=0, metavar="S", help=drain)
    _add_provider(serve.add_argument_group("signing in at an OpenID provider"))
    _add_lifetimes(serve.add_argument_group("lifetimes, in seconds"))


def _add_provider(group: Any) -> None:
    group.add_argument("--oidc-issuer", default="", metavar="URL", help="its address, exactly as it calls itself")
    group.add_argument("--oidc-client-id", default="", metavar="ID", help="what it calls this hub")
    group.add_argument(
        "--oidc-client-secret-file", type=Path, metavar="PATH", help="the file with the secret that it gave to this hub"
    )
    group.add_argument("--oidc-name", default="", metavar="NAME", help="what people call it; default: its host")
    group.add_argument(
        "--oidc-new-users-of",
        action="append",
        default=[],
        metavar="DOMAIN",
        help="make users of whoever is new and has a verified e-mail address there; may be repeated",
    )
    group.add_argument("--no-passwords", action="store_true", help="nobody signs in with a password")


def _add_lifetimes(group: Any) -> None:
    for option, field, text in (
        ("--access-ttl", "access_ttl_s", "an access token"),
        ("--refresh-ttl", "refresh_ttl_s", "a refresh token, from its last use"),
        ("--refresh-grace", "refresh_grace_s", "how long a refresh may be repeated when its reply was lost"),
        ("--url-ttl", "url_ttl_s", "a signed URL, which moves bytes even when the sign-in behind it has ended"),
        ("--device-ttl", "device_ttl_s", "how long a device waits to be approved"),
        ("--device-interval", "device_interval_s", "how often a waiting device may ask"),
        ("--sweep-interval", "sweep_interval_s", "how often leftovers of uploads are removed; 0: never"),
        ("--sweep-grace", "sweep_grace_s", "leftovers that are younger stay"),
    ):
        default = getattr(HubSettings(state_dir=Path()), field)
        group.add_argument(
            option, dest=field, type=_seconds, default=default, metavar="S", help=f"{text}; default: {default}"
        )


def _seconds(text: str) -> int:
    if not (text.isascii() and text.isdecimal()):
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of seconds")
    return int(text)


def _add_token_commands(commands: Any) -> None:
    create = add_command(commands, "create", _create_token, "make a token and print it, once")
    create.add_argument("--email", required=True, help="whose token; the user is made when new")
    add_token_options(create)
    add_command(commands, "list", _list_tokens, "show all tokens, without their secrets")
    revoke = add_command(
        commands, "revoke", _revoke_token, "make a token worthless, everywhere after five seconds at the latest"
    )
    revoke.add_argument("token_id", metavar="ID", help="such as tok_01J…")


def _serve(args: argparse.Namespace) -> int:
    from ferryhub import server  # uvicorn is the server's alone

    lifetimes = (
        "access_ttl_s",
        "refresh_ttl_s",
        "refresh_grace_s",
        "url_ttl_s",
        "device_ttl_s",
        "device_interval_s",
        "sweep_interval_s",
        "sweep_grace_s",
    )
    chosen = {field: getattr(args, field) for field in lifetimes}
    chosen |= {"drain_delay_s": args.drain_delay, "metrics_listen": args.metrics}
    chosen |= {"provider": _provider(args), "passwords": not args.no_passwords}
    hub = settings(args, web=True, public_url=args.public_url, **chosen)
    tls = server.tls_files(args.tls_cert, args.tls_key)
    place = server.unix_socket(args.unix.absolute()) if args.unix else server.tcp_socket(args.listen)
    with place as listener:
        server.serve(hub, listener, tls)
    return 0


def _provider(args: argparse.Namespace) -> ProviderSettings | None:
    given = (args.oidc_issuer, args.oidc_client_id, args.oidc_client_secret_file)
    if not any((*given, args.oidc_name, args.oidc_new_users_of)):
        return None
    if not all(given):
        raise RuntimeError("give --oidc-issuer, --oidc-client-id and --oidc-client-secret-file, or none of them")
    return ProviderSettings(*given, name=args.oidc_name, new_users_of=tuple(args.oidc_new_users_of))


def _create_token(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    return print_new_token(args, lambda conn: principals.ensure_by_email(conn, args.email))


def _list_tokens(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import tokens

    for row in in_catalogue(args, tokens.listing):
        state = "revoked" if row.revoked_at else f"expires {day(row.expires_at)}" if row.expires_at else "no expiry"
        say(f"{row.id}  {row.email}  {row.scopes}  made {day(row.created_at)}  {state}")
    return 0


def _revoke_token(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import tokens

    if not in_catalogue(args, tokens.revoke, args.token_id):
        raise RuntimeError(f"there is no token '{args.token_id}'; see 'ferryhub token list'")
    return 0
