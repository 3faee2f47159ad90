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
from ferryman.cli.groups import Group
from ferryman.cli.output import Output
from ferryman.cli.settings import Settings, settings_of

if TYPE_CHECKING:
    from ferryman.client import Client


@dataclass(frozen=True)
class Session:
    """What every command starts from."""

    settings: Settings
    out: Output

    def client(self, *, request_timeout_s: float = 30.0, known_context: bool = True) -> Client:
        """A client of this user's daemon, to be used in a `with` block; starts the daemon when none runs.

        A context that the daemon does not know is refused, also by commands that go to no hub. `known_context=False` is
        for commands that make, choose or examine contexts.
        """
        from ferryman.client import Client

        if self.settings.context:
            os.environ["FERRYMAN_CONTEXT"] = self.settings.context  # the SDK sends it with every call
        client = Client(request_timeout_s=request_timeout_s)
        if self.settings.context and known_context:
            try:
                _require(self.settings.context, [one.name for one in client.contexts.list()])
            except BaseException:
                client.close()
                raise
        return client

    @contextmanager
    def queueing(self) -> Iterator[None]:
        """Around a call that queues a transfer: Ctrl-C may come before its id does."""
        try:
            yield
        except KeyboardInterrupt:
            message = "interrupted before the transfer had an id"
            raise Problem(message, "ferry ls shows whether it was queued.", exit_code=Exit.INTERRUPTED) from None


def _require(context: str, known: list[str]) -> None:
    """Raise what the daemon raises for an unknown context, as it says it."""
    if context not in known:
        from ferryman.errors import DaemonError

        message = f"there is no context {context!r}; known are {', '.join(known)}"
        raise DaemonError("not_found", message, reason="CONTEXT_NOT_FOUND", metadata={"context": context})


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
        cls=Group,
        help=help_text,
        add_completion=False,
        rich_markup_mode=None,
        pretty_exceptions_enable=False,
        no_args_is_help=True,
    )
