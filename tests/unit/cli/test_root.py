"""The command table: what help imports, common options, mistakes in the command line."""

from __future__ import annotations

import shlex
import subprocess
import sys
from typing import Any

import pytest

from ferryman.cli import root
from ferryman.cli.examples import EXAMPLES
from ferryman.cli.settings import DETACHING, WAITING
from tests.support.cli import ferry

HEAVY = ("rich", "grpc", "google.protobuf", "ferryapi", "asyncio", "pathspec", "segno", "ferryman.cli.upload")


def test_help_imports_no_command_and_nothing_heavy() -> None:
    """What keeps `ferry --help` fast, whatever the machine."""
    code = "import sys; from ferryman.cli import main; main(['--help']); print('|', *sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    imported = set(done.stdout.rpartition("|")[2].split())
    assert "typer" in imported
    assert not [name for name in imported if name in HEAVY]


@pytest.mark.parametrize("name", root.COMMANDS)
def test_every_command_has_the_common_options_and_a_help(name: str) -> None:
    command = root.load(name)
    leaves = list(getattr(command, "commands", {}).values()) or [command]
    for leaf in leaves:
        options = {option for param in leaf.params for option in param.opts}
        assert {"--json", "--quiet", "-q", "--no-progress", "--debug", "--context"} <= options
        assert ("--detach" in options) == (name in DETACHING)
        assert ("--timeout" in options) == (name in WAITING)
        assert leaf.help
        assert len(options) == sum(len(param.opts) for param in leaf.params), "an option is there twice"


def _commands() -> dict[str, Any]:
    """Every command by its name, groups and the whole too."""
    found: dict[str, Any] = {"": root.group()}
    for name in root.COMMANDS:
        found[name] = root.load(name)
        found |= {f"{name} {inner}": command for inner, command in getattr(found[name], "commands", {}).items()}
    return found


def test_every_help_ends_with_an_example_that_parses() -> None:
    commands = _commands()
    assert EXAMPLES.keys() == commands.keys()
    for name, line in EXAMPLES.items():
        ferry_word, *words = shlex.split(line)
        assert ferry_word == "ferry"
        assert words[: len(name.split())] == name.split()
        called = max((one for one in commands if words[: len(one.split())] == one.split()), key=len)
        assert not getattr(commands[called], "commands", {}), f"{line!r} names no whole command"
        commands[called].make_context(called, words[len(called.split()) :])
        assert commands[name].epilog.endswith(line)


@pytest.mark.parametrize(
    "arguments", [["ls", "--json", "--nope"], ["nosuch"], ["upload"], ["ls", "-n", "0"], ["pause"]]
)
def test_a_mistake_is_one_line_with_the_next_step(arguments: list[str]) -> None:
    done = ferry(*arguments)
    assert done.code == 2
    assert done.err.count("\n") == 1
    assert "ferry" in done.err
    assert "Run: ferry" in done.err


def test_a_near_miss_is_named() -> None:
    assert "did you mean upload" in ferry("uplaod").err
    near = ferry("project", "lsit")
    assert (near.code, "did you mean list" in near.err, "Run: ferry project --help" in near.err) == (2, True, True)


def test_without_a_command_it_shows_its_help() -> None:
    done = ferry()
    assert done.code == 2
    assert "Transfers:" in done.err


def test_a_mistake_with_json_is_an_event_too() -> None:
    done = ferry("upload", "--json")
    assert done.code == 2
    assert done.data("error")["exit_code"] == 2
