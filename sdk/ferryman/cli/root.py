"""The table of commands, and what runs one: parse, call, turn an error into a sentence and a code.

The help of `ferry` is drawn from this table, so that it imports no command; a command's module is imported when it is
called. typer's own rich help is off: it alone would take the time that the whole help may take.
"""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any, Final, NamedTuple

import typer

from ferryman.cli import streams
from ferryman.cli.examples import EXAMPLES
from ferryman.cli.groups import Group
from ferryman.cli.settings import Settings, options_for

HELP: Final = """Move research data to a data hub and back.

Transfers belong to a background daemon: they go on after this command, the terminal or the machine has stopped."""


class Row(NamedTuple):
    """A command: the module of its typer app, and what it is for."""

    module: str
    help: str


TABLE: Final[dict[str, dict[str, Row]]] = {
    "Transfers": {
        "upload": Row("upload", "Upload files and directories as one asset."),
        "download": Row("download", "Download an asset."),
        "ls": Row("transfers", "List transfers: state, progress, what they wait for."),
        "top": Row("top", "Watch all transfers on a live screen."),
        "watch": Row("control", "Wait for transfers and show their progress."),
        "pause": Row("control", "Pause transfers; what they have sent is kept."),
        "resume": Row("control", "Continue paused or failed transfers."),
        "cancel": Row("control", "Stop transfers for good."),
        "retry": Row("control", "Try failed or waiting transfers again, now."),
        "limit": Row("transfers", "Show or set the limits all transfers share."),
    },
    "Catalogue": {
        "project": Row("projects", "Create, list, get and share projects."),
        "collection": Row("collections", "Create, list and get collections, the folders of a project."),
        "asset": Row("assets", "List and get assets and their versions."),
        "meta": Row("meta", "Get and change an asset's metadata."),
        "link": Row("links", "Say what an asset was made from."),
        "lineage": Row("lineage", "Show what an asset came from, or what came of it."),
        "search": Row("search", "Find assets by the words that describe them."),
    },
    "Account": {
        "login": Row("signin", "Sign in to a hub."),
        "logout": Row("signin", "Sign out, at the hub too."),
        "whoami": Row("signin", "Show who is signed in, where and until when."),
        "hub": Row("hubs", "List the hubs you know, and choose one."),
    },
    "This machine": {
        "service": Row("service", "Run the daemon as a service of yours."),
        "daemon": Row("daemon", "Stop the daemon; transfers go on with the next command."),
        "doctor": Row("doctor", "Check this machine and show what is wrong."),
        "completion": Row("completion", "Print the completion script of a shell."),
    },
}
COMMANDS: Final = {name: row for section in TABLE.values() for name, row in section.items()}


class Lazy(Group):
    """The `ferry` command itself."""

    def list_commands(self, ctx: Any) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        if cmd_name not in self.commands and cmd_name in COMMANDS:
            self.commands[cmd_name] = load(cmd_name)
        return self.commands.get(cmd_name)

    def shell_complete(self, ctx: Any, incomplete: str) -> Any:
        """The commands' names, without importing any of them."""
        from typer._click.shell_completion import CompletionItem

        if incomplete.startswith("-"):
            options = [option for param in self.params for option in param.opts if option.startswith(incomplete)]
            return [CompletionItem(option) for option in options]
        return [CompletionItem(name, help=row.help) for name, row in COMMANDS.items() if name.startswith(incomplete)]

    def format_commands(self, ctx: Any, formatter: Any) -> None:
        longest = max(map(len, COMMANDS))
        for title, rows in TABLE.items():
            with formatter.section(title):
                formatter.write_dl([(name.ljust(longest), row.help) for name, row in rows.items()])


def load(name: str) -> Any:
    """The command of that name, with the common options."""
    app = import_module(f"ferryman.cli.{COMMANDS[name].module}").app
    command: Any = typer.main.get_command(app)
    inner = getattr(command, "commands", {})
    if name in inner:
        command = inner[name]
    command.name = name
    return _with_common_options(command, name)


def example_of(name: str) -> str | None:
    """The last line of a command's help."""
    example = EXAMPLES.get(name)
    return example and f"Example:  {example}"


def _with_common_options(command: Any, name: str) -> Any:
    command.rich_markup_mode = None
    command.epilog = example_of(name)
    children = getattr(command, "commands", None)
    for param in command.params:
        if param.param_type_name == "argument":
            param.display_type_rich = lambda ctx: ""  # its name says what it is; a Python type does not
            param.callback = param.callback or _not_empty
    if children is None:
        taken = {option for param in command.params for option in param.opts}
        command.params += [option for option in options_for(name) if not taken & set(option.opts)]
    for child_name, child in (children or {}).items():
        _with_common_options(child, f"{name} {child_name}")
    return command


def _not_empty(context: Any, argument: Any, value: Any) -> Any:
    if value == "" or (isinstance(value, list | tuple) and "" in value):
        raise typer.BadParameter("It is empty.", ctx=context, param=argument)
    return value


def _ferry(
    version: bool = typer.Option(False, "--version", help="Show the version and exit."),
) -> None:
    if version:
        import ferryman

        sys.stdout.write(f"ferry {ferryman.__version__}\n")
        raise typer.Exit


def group() -> Any:
    """The whole command."""
    app = typer.Typer(cls=Lazy, help=HELP, add_completion=False, rich_markup_mode=None)
    app.callback(invoke_without_command=True, no_args_is_help=True)(_ferry)
    command: Any = typer.main.get_command(app)
    command.help = HELP
    command.epilog = example_of("")
    command.params += options_for("")
    return command


def run(arguments: list[str]) -> int:
    """Run a command line; returns the exit code."""
    streams.prepare()
    if "_FERRY_COMPLETE" in os.environ:  # a shell asks what may come next
        from typer._completion_classes import completion_init

        completion_init()
    settings = Settings(context=os.environ.get("FERRYMAN_CONTEXT", ""))
    with streams.one_interrupt():
        try:
            return _run(arguments, settings)
        except OSError as error:  # what it said could not be written
            from ferryman.cli.exits import Exit

            return Exit.OTHER if streams.is_left(error) else Exit.LOCAL
        finally:
            streams.silence()  # or Python tries once more when it ends, and its status would replace ours


def _run(arguments: list[str], settings: Settings) -> int:
    try:
        code = group().main(arguments, prog_name="ferry", standalone_mode=False, obj=settings)
        sys.stdout.flush()
    except typer.TyperException as error:
        return _usage(error, settings, arguments)
    except KeyboardInterrupt as error:
        return _failed(error, settings)
    except Exception as error:  # the boundary: people get a sentence, not a traceback
        if streams.is_left(error):
            raise
        return _failed(error, settings)
    return code if isinstance(code, int) else 0


def _usage(error: typer.TyperException, settings: Settings, arguments: list[str]) -> int:
    from ferryman.cli.output import Output

    context: Any = getattr(error, "ctx", None)
    path = context.command_path if context is not None else "ferry"
    if not arguments or type(error).__name__ == "NoArgsIsHelpError":
        sys.stderr.write(context.get_help() + "\n")
        return error.exit_code
    settings.json = settings.json or "--json" in arguments
    Output(settings).refuse(error.format_message(), f"Run: {path} --help", error.exit_code)
    return error.exit_code


def _failed(error: BaseException, settings: Settings) -> int:
    if settings.debug:
        import traceback

        traceback.print_exc()
    from ferryman.cli.output import Output

    return Output(settings).failed(error)
