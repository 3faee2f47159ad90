"""docs/cli-json.md as a schema: the page is read, and real output is held against it."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from datetime import datetime
from functools import cache
from typing import Any

from tests.architecture.sources import ROOT

_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "number": (int, float),
    "boolean": (bool,),
    "object": (dict,),
    "list": (list,),
    "time": (str,),
    "null": (type(None),),
}
Fields = dict[str, str]


@cache
def events() -> dict[str, Fields]:
    """Event to its fields and their types, as the page says; the envelope is under the empty name."""
    page = (ROOT / "docs" / "cli-json.md").read_text(encoding="utf-8")
    first, *sections = re.split(r"^## ", page, flags=re.MULTILINE)
    named = {re.match(r"`(\w+)`", section): section for section in sections}
    return {"": _fields(first)} | {match[1]: _fields(text) for match, text in named.items() if match}


def _fields(section: str) -> Fields:
    return dict(re.findall(r"^\| `(\w+)` \| ([\w ]+?) \|", section, re.MULTILINE))


def wrong(event: Any) -> Iterator[str]:
    """What about one line is not as the page says."""
    yield from _mismatches("envelope", event, events()[""], exact=True)
    if event.get("schema") != "ferry.v1":
        yield f"schema is {event.get('schema')!r}"
    if event.get("event") not in events():
        yield f"the page has no event {event.get('event')!r}"
        return
    loose = event["event"] == "error"  # one of a transfer has its id
    yield from _mismatches(event["event"], event["data"], events()[event["event"]], exact=not loose)


def all_wrong(lines: Iterable[Any]) -> list[str]:
    """The same for many lines."""
    return [said for line in lines for said in wrong(line)]


def _mismatches(name: str, data: dict[str, Any], fields: Fields, *, exact: bool) -> Iterator[str]:
    for field in fields.keys() - data.keys():
        yield f"{name} lacks {field}"
    for field in data.keys() - fields.keys() if exact else ():
        yield f"{name} has {field}, which the page does not know"
    for field in data.keys() & fields.keys():
        if not _is(data[field], fields[field]):
            yield f"{name}.{field} is {data[field]!r}, not {fields[field]}"


def _is(value: Any, types: str) -> bool:
    allowed = types.split(" or ")
    if isinstance(value, bool):
        return "boolean" in allowed
    if not any(isinstance(value, _TYPES[one]) for one in allowed):
        return False
    return "time" not in allowed or value is None or _time(value)


def _time(value: str) -> bool:
    return value.endswith("Z") and datetime.fromisoformat(value).utcoffset() is not None
