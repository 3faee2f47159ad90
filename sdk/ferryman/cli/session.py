"""A running command: its options, its output and its client. Upload step 1 begins with `Session.client`."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import typer

from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.output import Output
from ferryman.cli.settings import Settings, settings_of

if TYPE_CHECKING:
    from ferryman.client import Client


@dataclass(frozen=True)
class Session:
    """What every command starts from."""

    settings: Settings
    out: Output

    def client(self, *, request_timeout_s: float = 30.0) -> Client:
        """A client of this user's daemon, to be used in a `with` block; starts the daemon when none runs."""
        from ferryman.client import Client

        if self.settings.context:
            os.environ["FERRYMAN_CONTEXT"] = self.settings.context  # the SDK sends it with every call
        return Client(request_timeout_s=request_timeout_s)

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Around a call that queues a transfer: Ctrl-C may come before its id does."""
        try:
            yield
        except KeyboardInterrupt:
            message = "interrupted before the transfer had an id"
            raise Problem(message, "ferry ls shows whether it was queued.", exit_code=Exit.INTERRUPTED) from None


def session_of(context: typer.Context) -> Session:
    """The session of a running command."""
    settings = settings_of(context)
    return Session(settings, Output(settings))


def among(*values: str) -> Callable[[str], list[str]]:
    """What a shell offers for a value that is one of these."""

    def matching(incomplete: str) -> list[str]:
        return [value for value in values if value.startswith(incomplete)]

    return matching


def new_app(help_text: str) -> typer.Typer:
    """The typer app of a command group: without rich and completion options of its own."""
    return typer.Typer(
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )
