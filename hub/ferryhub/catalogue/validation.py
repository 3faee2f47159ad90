"""Checks what callers say, before anything is stored: lengths, aliases, metadata, times.

Every function returns the value to store or raises `INVALID_ARGUMENT` with the field and what is allowed. No database.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Final

from ferrywire.reasons import FerryError

MAX_NAME: Final = 255
MAX_PATH: Final = 4096
MAX_TITLE: Final = 500
MAX_TEXT: Final = 10_000
MAX_ALIAS: Final = 255
MAX_TAGS: Final = 100
MAX_TAG: Final = 100
MAX_METADATA_BYTES: Final = 1 << 20
#: A level costs a binary message three of the 100 that every protobuf reader allows; replies nest it further.
MAX_METADATA_DEPTH: Final = 30
MAX_REQUEST_ID: Final = 64
MAX_EMAIL: Final = 320
ANALYSIS_MODES: Final = (
    "non_destructive",
    "altering",
    "destructive",
    "in_situ",
    "ex_situ",
    "invasive",
    "non_invasive",
)
_ALIAS: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]*")
_LOOKS_LIKE_ID: Final = re.compile(r"[a-z]{3}_[0-9a-hjkmnp-tv-z]{26}", re.IGNORECASE)
_EMAIL: Final = re.compile(r"[^\s@]+@[^\s@]+")
_PRINCIPAL_NAME: Final = re.compile(r"[a-z][a-z0-9.-]{0,62}")
_EXCERPT: Final = 60


def invalid(field: str, message: str) -> FerryError:
    """The error for a field whose value cannot be used."""
    return FerryError("INVALID_ARGUMENT", f"{field}: {message}", field=field)


def text(field: str, value: str, *, longest: int, required: bool = False) -> str:
    """A text of at most `longest` characters; a required one must hold something besides blanks."""
    if required and not value.strip():
        raise invalid(field, "must not be empty")
    if len(value) > longest:
        raise invalid(field, f"has {len(value)} characters; at most {longest} are allowed")
    if "\x00" in value:
        raise invalid(field, "must not contain a NUL character")
    return value


def collection_name(value: str) -> str:
    """A collection's name: it becomes part of a path."""
    if "/" in value:
        raise invalid("name", f"'{_short(value)}' must not contain '/'")
    if value in (".", ".."):
        raise invalid("name", f"'{value}' is not a name")
    return text("name", value, longest=MAX_NAME, required=True)


def alias(value: str) -> str:
    """An alias, or empty for none. Letters and digits are those of ASCII, so that everybody can type them."""
    if not value:
        return value
    text("alias", value, longest=MAX_ALIAS)
    if not _ALIAS.fullmatch(value):
        raise invalid(
            "alias",
            f"'{_short(value)}' cannot be one; use a-z, A-Z, 0-9, '.', '_' and '-', and begin with a letter or a digit",
        )
    if _LOOKS_LIKE_ID.fullmatch(value):
        raise invalid("alias", f"'{value}' looks like an id; choose another")
    return value


def tags(values: Sequence[str]) -> list[str]:
    """Tags in the order given; exact repeats are dropped."""
    unique = list(dict.fromkeys(values))
    if len(unique) > MAX_TAGS:
        raise invalid("tags", f"{len(unique)} tags; at most {MAX_TAGS} are allowed")
    return [text("tags", tag, longest=MAX_TAG, required=True) for tag in unique]


def json_object(field: str, value: Mapping[str, Any]) -> str:
    """Free key-value data as JSON text; every number must be finite, and any reader able to take it back."""
    _check_values(field, value, MAX_METADATA_DEPTH)
    encoded = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    size_bytes = len(encoded.encode())
    if size_bytes > MAX_METADATA_BYTES:
        raise invalid(field, f"{size_bytes} bytes as JSON; at most {MAX_METADATA_BYTES} are allowed")
    return encoded


def _check_values(path: str, value: object, depth: int) -> None:
    if isinstance(value, float) and not math.isfinite(value):
        raise invalid(path, f"{value} is not a finite number; leave it out or write it as text")
    if not isinstance(value, Mapping | list):
        return
    if not depth:
        raise invalid(path, f"is nested deeper than {MAX_METADATA_DEPTH} levels")
    if isinstance(value, Mapping):
        for key, inner in value.items():
            _check_values(f"{path}.{key}", inner, depth - 1)
    else:
        for index, inner in enumerate(value):
            _check_values(f"{path}[{index}]", inner, depth - 1)


def iso_time(field: str, value: str) -> str:
    """A date or a time in ISO 8601, kept as given, or empty for none."""
    if not value:
        return value
    try:
        datetime.fromisoformat(value)
    except ValueError as error:
        example = "2026-03-01T12:30:00Z"
        raise invalid(field, f"'{_short(value)}' is not an ISO 8601 date or time such as {example}") from error
    return value


def analysis_mode(value: str) -> str:
    """One of the analysis modes, or empty for none."""
    if value and value not in ANALYSIS_MODES:
        raise invalid("analysis_mode", f"'{_short(value)}' is none of {', '.join(ANALYSIS_MODES)}")
    return value


def email(value: str) -> str:
    """An e-mail address in lower case."""
    if len(value) > MAX_EMAIL or not _EMAIL.fullmatch(value):
        raise invalid("email", f"'{_short(value)}' is not an e-mail address")
    return value.lower()


def principal_name(value: str) -> str:
    """The name of a bot or a group: no address and no id looks like it."""
    if not _PRINCIPAL_NAME.fullmatch(value):
        raise invalid("name", f"'{_short(value)}' must be 1 to 63 of a-z 0-9 . - and begin with a letter")
    return value


def choice(field: str, value: str, allowed: Sequence[str]) -> str:
    """One of a few words."""
    if value not in allowed:
        raise invalid(field, f"'{_short(value)}' is none of {', '.join(allowed)}")
    return value


def _short(value: str) -> str:
    return value if len(value) <= _EXCERPT else value[:_EXCERPT] + "…"
