"""The rules hold for our code, and each rule catches the violation it is there for."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator

import pytest

from tests.architecture import rules, sources
from tests.architecture.sources import Module, planted

Rule = Callable[[Module], Iterator[str]]
STANDARD = frozenset(sys.stdlib_module_names)


def _sdk_imports(module: Module) -> Iterator[str]:
    return rules.sdk_imports(module, STANDARD)


def _broken(rule: Rule, modules: list[Module]) -> list[str]:
    return [wrong for module in modules for wrong in rule(module)]


PROGRAM_RULES = [
    rules.sizes,
    rules.parameters,
    rules.documented_module,
    rules.bare_tasks,
    rules.misplaced_imports,
    rules.vague_names,
    _sdk_imports,
]


@pytest.mark.parametrize("rule", PROGRAM_RULES, ids=lambda rule: rule.__name__.strip("_"))
def test_the_programs_keep_the_rule(rule: Rule) -> None:
    assert _broken(rule, sources.programs()) == []


@pytest.mark.parametrize("rule", [rules.parameters, rules.documented_module, rules.vague_names])
def test_tests_and_tools_keep_the_rule(rule: Rule) -> None:
    assert _broken(rule, sources.tests() + sources.tools()) == []


def test_tools_start_no_bare_tasks() -> None:
    assert _broken(rules.bare_tasks, sources.tools()) == []


def test_tests_and_tools_keep_to_their_sizes() -> None:
    tests = [wrong for module in sources.tests() for wrong in rules.sizes(module, rules.TEST_MODULE_LINES)]
    assert tests + _broken(rules.sizes, sources.tools()) == []


def test_all_our_code_is_looked_at() -> None:
    names = {module.name for module in sources.programs()}
    assert {"ferryman", "ferryd.core.states", "ferryhub", "ferrywire.reasons"} <= names
    assert not [name for name in names if name.endswith(("_pb2", "_connect"))]
    assert "tests.architecture.rules" in {module.name for module in sources.tests()}


LONG_FUNCTION = "def long():\n" + "    x = 1\n" * 60
LONG_CLASS = "class Long:\n" + "    x = 1\n" * 250


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        (rules.sizes, "x = 1\n" * 401, "ferryd.engine.planted"),
        (rules.sizes, LONG_FUNCTION, "ferryd.engine.planted"),
        (rules.sizes, "async " + LONG_FUNCTION, "ferryd.engine.planted"),
        (rules.sizes, LONG_CLASS, "ferryd.engine.planted"),
        (rules.parameters, "def f(a, b, c, d, e, *, g, h, i, j): ...", "ferryd.engine.planted"),
        (rules.parameters, "def upload(a, b, c, d, e, *, g, h, i, j): ...", "ferryd.engine.planted"),
        (rules.documented_module, "x = 1", "ferryd.engine.planted"),
        (rules.bare_tasks, "asyncio.create_task(f())", "ferryd.engine.planted"),
        (rules.bare_tasks, "asyncio.get_running_loop().create_task(f())", "ferryd.engine.planted"),
        (rules.bare_tasks, "self.loop.create_task(f())", "ferryd.engine.planted"),
        (rules.bare_tasks, "asyncio.ensure_future(f())", "ferryd.engine.planted"),
        (rules.bare_tasks, "from asyncio import create_task", "ferryd.engine.planted"),
        (rules.misplaced_imports, "import sqlite3", "ferryd.engine.planted"),
        (rules.misplaced_imports, "import sqlite3", "ferryhub.catalogue.planted"),
        (rules.misplaced_imports, "from sqlite3 import connect", "ferryd.storekeeper"),
        (rules.misplaced_imports, "from google.protobuf import struct_pb2", "ferryd.engine.planted"),
        (rules.misplaced_imports, "from ferryapi.hub.v1 import asset_service_pb2", "ferryhub.catalogue.planted"),
        (rules.misplaced_imports, "def f():\n    import httpx", "ferryd.engine.planted"),
        (rules.vague_names, "", "ferryd.engine.utils"),
        (_sdk_imports, "import httpx", "ferryman.client"),
        (_sdk_imports, "def f():\n    from rich import print", "ferryman.progress"),
    ],
)
def test_a_planted_violation_is_caught(rule: Rule, text: str, name: str) -> None:
    assert list(rule(planted(text, name)))


@pytest.mark.parametrize(
    ("rule", "text", "name"),
    [
        (rules.sizes, 'def f():\n    """\n' + "    words\n" * 80 + '    """\n', "ferryd.engine.planted"),
        (rules.parameters, "def upload(a, b, c, d, e, *, g, h, i, j): ...", "ferryman.client"),
        (rules.documented_module, "", "ferryd.engine"),
        (rules.bare_tasks, "group.create_task(f())\nself._tasks.create_task(f())", "ferryd.engine.planted"),
        (rules.misplaced_imports, "import sqlite3", "ferryd.store.db"),
        (_sdk_imports, "import grpc, json\nfrom google.protobuf import struct_pb2", "ferryman.channel"),
        (_sdk_imports, "import typer", "ferryman.cli.main"),
    ],
)
def test_what_is_allowed_is_not_caught(rule: Rule, text: str, name: str) -> None:
    assert not list(rule(planted(text, name)))
