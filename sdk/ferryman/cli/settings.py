"""The options that every command has, and a command's view of them.

They are given before or after the command's name (`ferry --json ls`, `ferry ls --json`), so they are written once
here and added to each command by `root.py`.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any, Final

import typer


@dataclass
class Settings:
    """What the common options say."""

    json: bool = False
    quiet: bool = False
    no_progress: bool = False
    debug: bool = False
    context: str = ""
    #: Of commands that can wait.
    detach: bool = False
    timeout: float | None = None


#: Commands that wait for a transfer.
WAITING: Final = frozenset({"upload", "download", "watch"})
#: Of these, those that may return at once.
DETACHING: Final = frozenset({"upload", "download"})


def _everywhere(
    json: Annotated[bool, typer.Option("--json", help="One JSON event a line on stdout (docs/cli-json.md).")] = False,
    quiet: Annotated[bool, typer.Option("--quiet", "-q", help="Say nothing but the result and errors.")] = False,
    no_progress: Annotated[bool, typer.Option("--no-progress", help="Show no progress.")] = False,
    debug: Annotated[bool, typer.Option("--debug", help="Show the traceback of an error.")] = False,
    context: Annotated[
        str, typer.Option("--context", metavar="NAME", help="Use this hub (ferry hub list) [env: FERRYMAN_CONTEXT].")
    ] = "",
) -> None: ...


def _waiting(
    timeout: Annotated[
        float,
        typer.Option(
            "--timeout", metavar="SECONDS", show_default=False, help="Stop waiting then; the transfer goes on."
        ),
    ] = 0.0,
) -> None: ...


def _detaching(
    detach: Annotated[bool, typer.Option("--detach", "-d", help="Print the transfer's id and do not wait.")] = False,
) -> None: ...


def options_for(command: str) -> list[Any]:
    """The common options of a command, ready to be added to it."""
    sources: list[Callable[..., None]] = [_everywhere]
    if command in WAITING:
        sources.insert(0, _waiting)
    if command in DETACHING:
        sources.insert(0, _detaching)
    found: list[Any] = []
    for source in sources:
        app = typer.Typer(add_completion=False)
        app.command()(source)
        found += [option for option in typer.main.get_command(app).params if option.name != "help"]
    for option in found:
        option.expose_value = False
        option.callback = _store
    return found


def _store(context: Any, option: Any, value: Any) -> Any:
    """Note what was given; a default never takes back what was said before the command's name."""
    if option.name == "timeout" and not (math.isfinite(value) and value >= 0):
        raise typer.BadParameter(f"{value:g} is no number of seconds to wait.", ctx=context, param=option)
    settings = context.find_root().obj
    if value and isinstance(settings, Settings):
        setattr(settings, option.name, value)
    return value


def settings_of(context: typer.Context) -> Settings:
    """The settings of a running command."""
    settings = context.find_root().obj
    return settings if isinstance(settings, Settings) else Settings()
