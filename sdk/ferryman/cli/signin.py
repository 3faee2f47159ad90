"""`ferry login`, `logout` and `whoami`. The daemon alone ever keeps a token; a given one passes through once."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferryman.cli import table, units
from ferryman.cli.faults import Problem
from ferryman.cli.output import Output, live
from ferryman.cli.session import among, new_app, session_of

if TYPE_CHECKING:
    from ferryman.client import Client

app = new_app("Sign in and out.")

_TIMEOUT_S = 600.0


@app.command()
def login(
    context: typer.Context,
    hub: Annotated[
        str | None, typer.Argument(metavar="HUB", help="Its address, as https://hub.example.org [default: in use].")
    ] = None,
    name: Annotated[
        str | None, typer.Option("--name", metavar="NAME", help="What to call this hub (ferry hub list).")
    ] = None,
    device: Annotated[bool, typer.Option("--device", help="Open no browser here: approve on any device.")] = False,
    with_token: Annotated[bool, typer.Option("--with-token", help="Read a token from standard input.")] = False,
    scopes: Annotated[
        list[str] | None,
        typer.Option(
            "--scope", metavar="SCOPE", autocompletion=among("read", "write"), help="read, write; repeatable."
        ),
    ] = None,
) -> None:
    """Sign in to a hub. Shows a code to approve in a browser, on this machine or any other.

    Transfers that wait for sign-in go on by themselves.
    """
    session = session_of(context)
    token = _token() if with_token else ""
    with session.client(known_context=False) as client:
        named = name or session.settings.context or None
        address = hub or _hub_of(client, named)
        if with_token:
            status = client.auth.login_with_token(address, token, context=named)
        else:

            def show(code: Any) -> None:
                _show(session.out, code, browser=not device)

            status = client.auth.login(address, context=named, scopes=scopes, on_code=show, timeout_s=_TIMEOUT_S)
    session.out.say(f"Signed in as {status.user_email} at {status.hub}.")
    session.out.result("signed_in", status, status.user_email)


def _token() -> str:
    if sys.stdin.isatty():
        raise Problem("--with-token reads the token from standard input", "Run: ferry login HUB --with-token < FILE")
    token = sys.stdin.readline().strip()
    if not token:
        raise Problem("standard input holds no token", "Run: ferry login HUB --with-token < FILE")
    return token


def _hub_of(client: Client, named: str | None) -> str | None:
    """The hub to sign in to where none is given: None for that of a context there is, which the daemon knows."""
    contexts = client.contexts.list()
    if any(one.name == named for one in contexts):
        return None
    for one in contexts:
        if one.current and one.name != "embedded":
            return str(one.hub) if named else None
    raise Problem("no hub is in use to sign in to", "Name it: ferry login https://hub.example.org")


def _show(out: Output, code: Any, *, browser: bool) -> None:
    """Show the code where a person can see it, whatever was asked to be quiet: without it nothing goes on."""
    out.event("sign_in", code)
    if out.json:
        return
    for line in instructions(code.verification_uri, code.user_code):
        sys.stderr.write(f"{line}\n")
    complete = code.verification_uri_complete
    if complete and live(sys.stderr):
        sys.stderr.write(_picture(complete))
        if browser:
            _open(complete)
    sys.stderr.flush()


def instructions(address: str, code: str) -> list[str]:
    """What to do with the code."""
    return [f"Open   {units.clean(address)}", f"Enter  {units.clean(code)}", "Waiting for you to approve it …"]


def _picture(address: str) -> str:
    """A QR code for a phone, where it fits and its library is installed."""
    try:
        import segno
    except ImportError:
        return ""
    import io
    import shutil

    code = segno.make(address, micro=False)
    if code.symbol_size(border=2)[0] + 1 > shutil.get_terminal_size().columns:
        return ""
    drawn = io.StringIO()
    code.terminal(drawn, compact=True, border=2)
    return drawn.getvalue()


def _open(address: str) -> None:
    """Open a browser where there is a screen; where there is none, the code is enough."""
    import os

    if address.startswith(("https://", "http://")) and (os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY")):
        import webbrowser

        webbrowser.open(address)


@app.command()
def logout(
    context: typer.Context,
    name: Annotated[str | None, typer.Argument(metavar="NAME", help="The hub's name [default: in use].")] = None,
) -> None:
    """Sign out: the hub revokes the token, the daemon forgets it. Transfers wait until you sign in again."""
    session = session_of(context)
    named = name or session.settings.context or None
    with session.client(known_context=False) as client:
        client.auth.logout(context=named)
    session.out.say("Signed out.")
    session.out.result("signed_out", {"context": named}, [])


@app.command()
def whoami(context: typer.Context) -> None:
    """Show who is signed in, at which hub, until when, and where the daemon keeps the token."""
    session = session_of(context)
    with session.client(known_context=False) as client:
        status = client.auth.status(context=session.settings.context or None)
    rows = [
        ("user", status.user_email),
        ("id", status.user_id),
        ("hub", status.hub),
        ("context", status.context),
        ("scopes", " ".join(status.scopes)),
        ("expires", units.moment(status.expires_at) or "never"),
        ("stored in", status.storage),
    ]
    session.out.result("signed_in", status, [status.user_email] if session.out.quiet else table.pairs(rows))
