"""The documents say what is so: generated parts are current, named tests and linked files exist, reasons are used."""

from __future__ import annotations

import ast
import contextlib
import importlib.util
import io
import re
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

import pytest

from ferryd.core import states
from ferryhub import cli as hub_cli
from ferrywire.reasons import REASONS
from tests.architecture import sources
from tests.architecture.sources import ROOT

PAGES = sorted([*(ROOT / "docs").rglob("*.md"), *ROOT.glob("*.md")])
TEST_NAME = re.compile(r"`(tests/[\w/]+\.py)(?:::(\w+))?`")
LINK = re.compile(r"\]\((?!https?:)([^)#]+)(?:#[^)]*)?\)")
SOURCE_PATH = re.compile(r"`((?:sdk|daemon|hub|proto|bench|docs)/[\w./]+)`")


def _generator() -> ModuleType:
    spec = importlib.util.spec_from_file_location("ferry_docs_generate", ROOT / "docs" / "generate.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def _text(page: str) -> str:
    return (ROOT / page).read_text(encoding="utf-8")


def missing_tests(text: str) -> Iterator[str]:
    """Tests that a text names and that are not there."""
    for file, name in TEST_NAME.findall(text):
        path = ROOT / file
        if not path.is_file():
            yield file
        elif name and name not in _functions(path):
            yield f"{file}::{name}"


def _functions(path: Path) -> set[str]:
    tree = ast.parse(path.read_text(encoding="utf-8"))
    return {node.name for node in ast.walk(tree) if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef))}


def rows_without_a_test(text: str) -> list[str]:
    """Table rows, heads and rules aside, that name no test."""
    rows = [row for row in text.splitlines() if row.startswith("|") and not row.startswith("|---")]
    heads = {before for before, after in zip(text.splitlines(), text.splitlines()[1:], strict=False) if "|---" in after}
    return [row for row in rows if row not in heads and not TEST_NAME.search(row)]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_named_tests_exist(page: Path) -> None:
    assert list(missing_tests(page.read_text(encoding="utf-8"))) == []


@pytest.mark.parametrize("page", ["docs/acceptance.md", "docs/durability.md"])
def test_every_promise_names_a_test(page: str) -> None:
    assert rows_without_a_test(_text(page)) == []


def test_a_missing_test_and_an_unproven_promise_are_caught() -> None:
    assert list(missing_tests("`tests/e2e/test_none.py`")) == ["tests/e2e/test_none.py"]
    named = "`tests/architecture/test_documents.py::test_that_is_not_there`"
    assert list(missing_tests(named)) == [named.strip("`")]
    assert rows_without_a_test("| promise | tests |\n|---|---|\n| it flies | yes |") == ["| it flies | yes |"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_links_and_named_files_exist(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    links = [link for link in LINK.findall(text) if not (page.parent / link).exists()]
    files = [path for path in SOURCE_PATH.findall(text) if not (ROOT / path).exists()]
    assert links + files == []


def steps(docstring: str) -> set[str]:
    """The steps a docstring names: "steps 7 to 9, D8" gives 7, 8, 9, D8."""
    found: set[str] = set()
    for letter, first, last in re.findall(r"\b(D?)(\d+)(?: to D?(\d+))?", docstring):
        found |= {f"{letter}{number}" for number in range(int(first), int(last or first) + 1)}
    return found


def walk() -> list[tuple[str, str]]:
    """(step, module) of the two walks in the architecture page."""
    rows = re.findall(r"^\| (D?\d+) \|.*\| (`.*`) \|$", _text("docs/architecture.md"), re.MULTILINE)
    return [(step, path) for step, cell in rows for path in re.findall(r"`([^`]+)`", cell)]


@pytest.mark.parametrize(("step", "path"), walk())
def test_a_module_on_the_walk_names_its_step(step: str, path: str) -> None:
    docstring = ast.get_docstring(ast.parse(_text(path))) or ""
    assert step in steps(docstring), docstring


def test_the_walk_is_whole() -> None:
    assert list(dict.fromkeys(step for step, _ in walk())) == [*map(str, range(1, 11)), "D7", "D8", "D9", "D10"]
    assert steps("Upload steps 7 to 9, download D8.") == {"7", "8", "9", "D8"}


def test_generated_parts_are_current() -> None:
    stale = [page.name for page, text, fresh in _generator().pages() if text != fresh]
    assert stale == [], "run `python docs/generate.py`"


def test_a_stale_part_would_be_seen() -> None:
    text = "<!-- generated: states -->\nold\n<!-- end -->"
    assert states.mermaid() in _generator().renewed(text)


def test_the_state_diagram_is_the_table() -> None:
    assert f"```mermaid\n{states.mermaid()}\n```" in _text("docs/architecture.md")


def test_every_reason_is_documented() -> None:
    page = _text("docs/troubleshooting.md")
    assert [name for name in REASONS if f"| `{name}` |" not in page] == []


def variables(text: str) -> set[str]:
    """The environment variables of ours that a text names."""
    return set(re.findall(r"\bFERRYMAN_[A-Z]+(?:_[A-Z]+)*\b", text))


def test_the_configuration_page_names_every_variable() -> None:
    used = {name for module in sources.programs() for name in variables(module.text)}
    for_tests = {"FERRYMAN_CRASHPOINT"}
    assert variables(_text("docs/configuration.md")) == used - for_tests
    assert variables("FERRYMAN_A_B, FERRYMAN_C") == {"FERRYMAN_A_B", "FERRYMAN_C"}


def test_the_configuration_page_names_every_option_of_the_hub() -> None:
    page = _text("docs/configuration.md").partition("## The hub\n")[2].partition("\n## ")[0]
    named = set(re.findall(r"`(--[\w-]+)`", page))
    with pytest.raises(SystemExit), contextlib.redirect_stdout(io.StringIO()) as printed:
        hub_cli.main(["serve", "--help"])
    assert named == set(re.findall(r"^  (?:-h, )?(--[\w-]+)", printed.getvalue(), re.MULTILINE)) - {"--help"}


def unused(reasons: list[str], texts: list[str]) -> list[str]:
    """Reasons that none of the texts names as a literal."""
    return [name for name in reasons if not any(f'"{name}"' in text for text in texts)]


def test_every_reason_is_used() -> None:
    texts = [module.text for module in sources.programs() if module.name != "ferrywire.reasons"]
    assert unused(list(REASONS), texts) == []


def test_an_unused_reason_is_caught() -> None:
    assert unused(["USED", "UNUSED"], ['raise FerryError("USED", "x")', "UNUSED"]) == ["UNUSED"]
