"""The SQL of the queue as data: named statements in queries.sql, schemas by version in schema_<n>.sql."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final

_HERE: Final = Path(__file__).parent  # `importlib.resources` would take 6 ms of every start to import
_NAME: Final = re.compile(r"^-- name: (\w+).*\n", re.MULTILINE)


def _load() -> dict[str, str]:
    _, *pieces = _NAME.split((_HERE / "queries.sql").read_text("utf-8"))
    return {name: text.strip() for name, text in zip(pieces[::2], pieces[1::2], strict=True)}


def schemas() -> list[str]:
    """The scripts that lead from an empty database to the newest version, in order."""
    found = sorted(
        (int(entry.name[7:-4]), entry.read_text("utf-8"))
        for entry in _HERE.iterdir()
        if re.fullmatch(r"schema_\d+\.sql", entry.name)
    )
    return [text for _, text in found]


QUERIES: Final = _load()
