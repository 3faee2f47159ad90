"""The help of every command, as it was looked at last.

After a change that is meant: `FERRY_HELP=write pytest tests/golden/test_cli_help.py`, and read the difference. Options
come from typer, words from us: a new version of typer that draws differently shows here first.
"""

from __future__ import annotations

import contextlib
import io
import os
from pathlib import Path

import pytest

from ferryman.cli import root

FOLDER = Path(__file__).parent / "cli"


def names() -> list[str]:
    """Every command and sub-command."""
    found = [""]
    for name in root.COMMANDS:
        found += [name, *(f"{name} {inner}" for inner in getattr(root.load(name), "commands", {}))]
    return found


def shown(name: str) -> str:
    """Its help on a terminal of 80 columns."""
    out = io.StringIO()
    with contextlib.redirect_stdout(out):
        assert root.run([*name.split(), "--help"]) == 0
    return out.getvalue()


@pytest.mark.parametrize("name", names(), ids=lambda name: name.replace(" ", "-") or "ferry")
def test_the_help_is_the_one_that_was_looked_at(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    path = FOLDER / f"{name.replace(' ', '-') or 'ferry'}.txt"
    if os.environ.get("FERRY_HELP") == "write":
        path.write_text(shown(name), encoding="utf-8")
    assert shown(name) == path.read_text(encoding="utf-8")
    assert all(len(line) <= 80 for line in shown(name).splitlines())


def test_no_help_is_left_over() -> None:
    assert {path.stem for path in FOLDER.glob("*.txt")} == {name.replace(" ", "-") or "ferry" for name in names()}
