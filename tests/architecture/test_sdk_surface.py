"""The SDK starts light and says what it does: imports stay lazy, every public name is documented."""

from __future__ import annotations

import dataclasses
import inspect
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest

import ferryman
from ferryman import AsyncClient, Client

HEAVY = {"grpc", "google.protobuf", "ferryapi", "asyncio"}
#: Calls that cannot fail, and so name no error.
NEVER_FAIL = {"close"}
#: Fields whose names say everything: what they are, or their unit.
PLAIN_FIELDS = re.compile(
    r"(\w+_)?(id|name|title|description|alias|tags|path|type|digest|email|role|version|message|parent|state|error)"
    r"|\w+_(bytes|count|bps|s|at|by|mode|note|files|dir|calls|parts|transfers|percent)"
    r"|metadata|relationships|assets|files|qualifiers|pid|hub|watchers|priority|phase|kind|etag|storage_location"
)


def _imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


@pytest.mark.parametrize("statement", ["import ferryman", "from ferryman import Client, DaemonError"])
def test_importing_the_sdk_imports_neither_grpc_nor_protobuf(statement: str) -> None:
    assert not _imported_by(statement) & HEAVY


def test_a_heavy_import_would_be_seen() -> None:
    assert "grpc" in _imported_by("import grpc")


def resources() -> list[type]:
    """The classes behind `client.projects` and its like, of both clients."""
    clients: list[object] = [Client(auto_start=False), AsyncClient(auto_start=False)]
    return [
        type(getattr(client, name))
        for client in clients
        for name, value in vars(type(client)).items()
        if isinstance(value, property)
    ]


def public() -> list[object]:
    """Everything a user can reach by name: what the package exports and what its clients hold."""
    return [*(getattr(ferryman, name) for name in ferryman.__all__), *resources()]


def undocumented(thing: object) -> Iterator[str]:
    """A class and what is public in it, or a function, without a word on it."""
    if not inspect.isclass(thing):
        if callable(thing) and not inspect.getdoc(thing):
            yield f"{thing!r} has no docstring"
        return
    if not thing.__doc__ or thing.__doc__.startswith(f"{thing.__name__}("):  # a dataclass makes up its own
        yield f"{thing.__name__} has no docstring"
    for name, member in _members(thing):
        if not inspect.getdoc(member):
            yield f"{thing.__name__}.{name} has no docstring"
    if dataclasses.is_dataclass(thing):
        yield from _undocumented_fields(thing)


def _members(thing: type) -> Iterator[tuple[str, object]]:
    for name, member in vars(thing).items():
        if not name.startswith("_") and (callable(member) or isinstance(member, (property, classmethod, staticmethod))):
            yield name, member


def _undocumented_fields(thing: type) -> Iterator[str]:
    """A field is named in the class's docstring, has a `#:` comment, or a name that says everything."""
    source = inspect.getsource(thing)
    for field in dataclasses.fields(thing):
        commented = re.search(rf"(#:.*\n\s*{field.name}:)|(\b{field.name}:.*#:)", source)
        if not (PLAIN_FIELDS.fullmatch(field.name) or f"`{field.name}`" in (thing.__doc__ or "") or commented):
            yield f"{thing.__name__}.{field.name} is not documented"


def terse(thing: type) -> Iterator[str]:
    """Calls that do not name what they raise or show no example, and do not say which call they are like."""
    for name, member in _members(thing):
        text = inspect.getdoc(member) or ""
        if isinstance(member, property) or re.search(r"\b([Aa]s|those of) `\w+\.\w+`", text):
            continue
        if "Example" not in text:
            yield f"{thing.__name__}.{name} shows no example"
        told = re.search(r"Errors?:|Raises|raises", text) or "All methods raise" in (thing.__doc__ or "")
        if name not in NEVER_FAIL and not told:
            yield f"{thing.__name__}.{name} names no error"


def test_every_public_name_of_the_sdk_is_documented() -> None:
    assert [wrong for thing in public() for wrong in undocumented(thing)] == []


def test_every_call_names_its_errors_and_shows_an_example() -> None:
    """Of the blocking classes: an awaited call is documented by its twin, which the parity test compares it with."""
    callers = [thing for thing in [Client, ferryman.Transfer, *resources()] if not thing.__name__.startswith("Async")]
    assert [wrong for thing in callers for wrong in terse(thing)] == []


def test_the_resources_are_found() -> None:
    assert {"Projects", "AsyncProjects", "Transfers", "AsyncTransfers"} <= {thing.__name__ for thing in resources()}


class _Silent:
    def call(self) -> None: ...


class _Vague:
    """Says something."""

    @property
    def size(self) -> int:
        return 0


@dataclasses.dataclass
class _Fields:
    """Says something."""

    extent: int


@dataclasses.dataclass
class _NoWords:
    name: str


def _bare() -> None: ...


@pytest.mark.parametrize("thing", [_Silent, _Vague, _Fields, _NoWords, _bare])
def test_a_missing_docstring_is_caught(thing: object) -> None:
    assert list(undocumented(thing))


def test_a_call_without_error_or_example_is_caught() -> None:
    assert len(list(terse(_Silent))) == 2


@dataclasses.dataclass
class _Good:
    """A thing. `extent` is in bytes."""

    extent: int
    #: From 0 to 1.
    share: float
    name: str


def test_what_is_documented_is_not_caught() -> None:
    assert list(undocumented(_Good)) == []
