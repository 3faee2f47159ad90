"""Metadata as people type it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from ferryman.cli import fields
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("Oslo", "Oslo"),
        ("3", 3),
        ("2.5", 2.5),
        ("true", True),
        ("null", None),
        ('"3"', "3"),
        ("007", "007"),
        ("[1, 2]", [1, 2]),
        ('{"a": 1}', {"a": 1}),
        ("a=b", "a=b"),
        ("", ""),
        ("NaN", "NaN"),
        ("-Infinity", "-Infinity"),
    ],
)
def test_a_value_is_json_where_it_is_json(text: str, value: Any) -> None:
    assert fields.parse([f"key={text}"]) == {"key": value}


@pytest.mark.parametrize("pair", ["key", "=value", " =value", ""])
def test_what_is_no_pair_is_refused(pair: str) -> None:
    with pytest.raises(Problem) as caught:
        fields.parse([pair])
    assert caught.value.exit_code is Exit.USAGE


def test_what_is_typed_wins_over_the_file(tmp_path: Path) -> None:
    path = tmp_path / "m.json"
    path.write_text('{"site": "Oslo", "runs": 3}')
    assert fields.gather(["runs=4"], str(path)) == {"site": "Oslo", "runs": 4}


@pytest.mark.parametrize(("text", "code"), [("{", Exit.USAGE), ("[1]", Exit.USAGE), (None, Exit.NOT_FOUND)])
def test_a_file_that_will_not_do_is_refused(tmp_path: Path, text: str | None, code: Exit) -> None:
    path = tmp_path / "m.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(Problem) as caught:
        fields.read(str(path))
    assert caught.value.exit_code is code
