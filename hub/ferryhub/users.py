"""The commands `ferryhub users …`: make, list and shut out users, bots and groups; passwords; tokens. For the operator.

They work while the hub serves; what it remembers of a caller is five seconds old at most.
"""

from __future__ import annotations

import argparse
import getpass
import sys
from typing import Any, Final

from ferryhub.command import add_command, add_token_options, day, in_catalogue, print_new_token, say

_PASSWORD_HELP: Final = "read the password from the first line of standard input"
_WHO_HELP: Final = "e-mail address, name or id"


def add_user_commands(users: Any) -> None:
    """Add them to the parser of `ferryhub users`."""
    add = add_command(users, "add", _add, "make a user, or with --bot a bot, which has tokens and no password")
    add.add_argument("name", metavar="EMAIL", help="e-mail address; of a bot its name")
    add.add_argument("--display-name", default="", metavar="NAME", help="how the person is called")
    kind = add.add_mutually_exclusive_group()
    kind.add_argument("--bot", action="store_true", help="a bot, for pipelines")
    kind.add_argument("--password-stdin", action="store_true", help=_PASSWORD_HELP)
    add_command(users, "list", _list, "show all users, bots and groups")
    for word, run, text in (
        ("disable", _disable, "shut somebody out; tokens and sign-ins count for nothing until 'enable'"),
        ("enable", _enable, "let somebody in again"),
    ):
        add_command(users, word, run, text).add_argument("name", metavar="EMAIL", help=_WHO_HELP)
    passwd = add_command(users, "passwd", _passwd, "set a user's password and sign their browsers out")
    passwd.add_argument("name", metavar="EMAIL", help=_WHO_HELP)
    passwd.add_argument("--password-stdin", action="store_true", help=_PASSWORD_HELP)
    passwd.add_argument("--sign-out", action="store_true", help="end all sign-ins of their devices too")
    unlink = add_command(
        users, "unlink", _unlink, "forget who somebody is at the OpenID provider; a sign-in links anew"
    )
    unlink.add_argument("name", metavar="EMAIL", help=_WHO_HELP)
    token = add_command(users, "token", _token, "make a token for a user or a bot and print it, once")
    token.add_argument("name", metavar="EMAIL", help=_WHO_HELP)
    add_token_options(token)
    _add_group_commands(users.add_parser("group", help="who is in which group").add_subparsers(required=True))


def _add_group_commands(groups: Any) -> None:
    add = add_command(groups, "add", _group_add, "add members to a group, which is made when new")
    add.add_argument("group", metavar="GROUP", help="its name")
    add.add_argument("members", metavar="EMAIL", nargs="*", help=_WHO_HELP)
    remove = add_command(groups, "remove", _group_remove, "take members out of a group")
    remove.add_argument("group", metavar="GROUP", help="its name")
    remove.add_argument("members", metavar="EMAIL", nargs="+", help=_WHO_HELP)
    show = add_command(groups, "list", _group_list, "show the members of a group")
    show.add_argument("group", metavar="GROUP", help="its name")


def _add(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    argon2 = _hashed(args) if args.password_stdin else None

    def add(conn: Any) -> str:
        kind: principals.Kind = "bot" if args.bot else "user"
        principal_id = principals.add(conn, kind, args.name, display_name=args.display_name)
        if argon2 is not None:
            _set(conn, principal_id, argon2)
        return principal_id

    say(in_catalogue(args, add))
    return 0


def _list(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    for row in in_catalogue(args, principals.listing):
        password = f"password of {day(row.password_changed_at)}" if row.password_changed_at else "no password"
        notes = [row.display_name, password if row.kind == "user" else "", "disabled" if row.disabled else ""]
        words = [row.id, row.kind, row.email, f"made {day(row.created_at)}", *filter(None, notes)]
        say("  ".join(words))
    return 0


def _disable(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    in_catalogue(args, principals.set_disabled, args.name, True)
    return 0


def _enable(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    in_catalogue(args, principals.set_disabled, args.name, False)
    return 0


def _passwd(args: argparse.Namespace) -> int:
    from ferryhub.auth import signins
    from ferryhub.catalogue import principals

    argon2 = _hashed(args)

    def change(conn: Any) -> None:
        _set(conn, args.name, argon2)
        if args.sign_out:
            signins.end_all(conn, principals.find(conn, args.name).id)

    in_catalogue(args, change)
    return 0


def _unlink(args: argparse.Namespace) -> int:
    from ferryhub.auth import links

    if not in_catalogue(args, links.unlink, args.name):
        raise RuntimeError(f"'{args.name}' has not signed in at a provider")
    return 0


def _token(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import principals

    def holder(conn: Any) -> str:
        row = principals.find(conn, args.name)
        if row.kind == "group":
            raise RuntimeError(f"'{row.email}' is a group; make tokens for its members")
        principal_id: str = row.id
        return principal_id

    return print_new_token(args, holder)


def _group_add(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import groups

    say(in_catalogue(args, groups.add_members, args.group, args.members))
    return 0


def _group_remove(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import groups

    in_catalogue(args, groups.remove_members, args.group, args.members)
    return 0


def _group_list(args: argparse.Namespace) -> int:
    from ferryhub.catalogue import groups

    for row in in_catalogue(args, groups.members_of, args.group):
        say(f"{row.id}  {row.email}{'  disabled' if row.disabled else ''}")
    return 0


def _set(conn: Any, name: str, argon2: str) -> None:
    from ferryhub.auth import passwords

    passwords.set_password(conn, name, argon2)


def _hashed(args: argparse.Namespace) -> str:
    from ferryhub.auth import passwords

    return passwords.hashed(sys.stdin.readline().rstrip("\r\n") if args.password_stdin else _asked())


def _asked() -> str:
    if not sys.stdin.isatty():
        raise RuntimeError("there is no terminal to ask for the password; give --password-stdin")
    password = getpass.getpass("New password: ")
    if getpass.getpass("Once more: ") != password:
        raise RuntimeError("the two passwords are not the same; nothing was changed")
    return password
