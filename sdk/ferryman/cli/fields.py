"""Metadata as people type it: `--meta key=value`, `--meta-file FILE.json`. Pure but for reading that file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem


def parse(pairs: Sequence[str]) -> dict[str, Any]:
    """A dict from `key=value` texts; a later one wins over an earlier."""
    found: dict[str, Any] = {}
    for pair in pairs:
        key, sign, text = pair.partition("=")
        if not sign or not key.strip():
            raise Problem(f"{pair!r} is no metadata", "Write it as key=value, as in --meta site=Oslo.")
        found[key.strip()] = value(text)
    return found


def value(text: str) -> Any:
    """A value: what JSON reads as number, true, false, null, list, object or quoted text; else the text itself."""
    try:
        return json.loads(text, parse_constant=_no_constant)
    except ValueError:
        return text


def _no_constant(name: str) -> Any:
    raise ValueError(name)  # NaN and Infinity are words here: JSON has no such numbers


def read(path: str) -> dict[str, Any]:
    """The JSON object in a file."""
    try:
        text = Path(path).expanduser().read_text(encoding="utf-8")
    except FileNotFoundError:
        raise Problem(f"there is no file {path!r}", "Check the path.", exit_code=Exit.NOT_FOUND) from None
    try:
        found = json.loads(text)
    except ValueError as error:
        raise Problem(f"{path} is not JSON: {error}", "It must hold one JSON object.") from None
    if not isinstance(found, dict):
        raise Problem(f"{path} holds no JSON object but a {type(found).__name__}", 'Write it as {"key": "value"}.')
    return found


def gather(pairs: Sequence[str] | None, file: str | None) -> dict[str, Any]:
    """Both together: what is typed wins over the file."""
    return {**(read(file) if file else {}), **parse(pairs or [])}
