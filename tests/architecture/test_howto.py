"""Every `ferry` and `ferryhub` command in the pages is one that exists, with options that exist."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ferryhub import cli as hub_cli
from ferryman.cli import root
from tests.architecture.sources import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), ROOT / "README.md"])
BLOCK = re.compile(r"^```(?:sh|yaml)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
CALL = re.compile(r"(?:^|\$\(|run: |sudo -u \w+ )((?:ferry|ferryhub) [^|;<>)#\n]*)", re.MULTILINE)


def calls(text: str) -> Iterator[list[str]]:
    """The words of every command line of ours in a page's blocks."""
    for block in BLOCK.findall(text):
        for line in CALL.findall(block.replace("\\\n", " ")):
            yield shlex.split(line)


def wrong(words: list[str]) -> list[str]:
    """Commands and options in a command line that do not exist."""
    return _wrong_ferry(words[1:]) if words[0] == "ferry" else _wrong_ferryhub(words[1:])


def _wrong_ferry(words: list[str]) -> list[str]:
    if not words or words[0] not in root.COMMANDS:
        return [word for word in words[:1] if not word.startswith("-")]
    command: Any = root.load(words[0])
    rest = words[1:]
    while rest and (inside := getattr(command, "commands", {})):
        if rest[0] not in inside:
            return rest[:1]
        command, rest = inside[rest[0]], rest[1:]
    known = {option for parameter in command.params for option in (*parameter.opts, *parameter.secondary_opts)}
    return [word for word in rest if word.startswith("-") and word.partition("=")[0] not in known | {"--help"}]


def _wrong_ferryhub(words: list[str]) -> list[str]:
    try:
        hub_cli._parser().parse_args(words)
    except SystemExit:
        return words
    return []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_commands_in_the_pages_exist(page: Path) -> None:
    found = [(words, wrong(words)) for words in calls(page.read_text(encoding="utf-8"))]
    assert [one for one in found if one[1]] == []


def test_the_howto_pages_show_commands() -> None:
    shown = {words[1] for page in (ROOT / "docs/howto").glob("*.md") for words in calls(page.read_text())}
    assert {"login", "upload", "download", "watch", "top", "doctor", "service", "hub", "users"} <= shown


@pytest.mark.parametrize(
    ("line", "found"),
    [
        ("ferry uplaod x", ["uplaod"]),
        ("ferry upload x --projekt y", ["--projekt"]),
        ("ferry service restart", ["restart"]),
        ("ferry upload x --project y -q", []),
        ("ferryhub users ad x", ["users", "ad", "x"]),
        ("ferryhub users add x", []),
    ],
)
def test_a_command_that_does_not_exist_is_caught(line: str, found: list[str]) -> None:
    assert wrong(shlex.split(line)) == found
    assert list(calls(f"```sh\n{line}\n```")) == [shlex.split(line)]
