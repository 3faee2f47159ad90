"""The SDK starts light and says what it does: imports stay lazy, every public name is documented."""

from __future__ import annotations

import ast
import subprocess
import sys
from collections.abc import Iterator

import pytest

from tests.architecture import sources
from tests.architecture.sources import Module, planted

HEAVY = ("grpc", "google.protobuf", "asyncio", "ferryapi")


def _imported_by(statement: str) -> set[str]:
    code = f"import sys\n{statement}\nprint(*sys.modules, sep='\\n')"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    return set(done.stdout.split())


def test_importing_the_sdk_imports_neither_grpc_nor_protobuf() -> None:
    assert not _imported_by("import ferryman; ferryman.Client") & set(HEAVY)


def test_a_heavy_import_would_be_seen() -> None:
    assert "grpc" in _imported_by("import grpc")


def undocumented(module: Module) -> Iterator[str]:
    """Public classes, functions, methods, properties and fields without a word on them."""
    if any(part.startswith("_") for part in module.name.split(".")):
        return
    yield from _undocumented(module, module.tree.body, module.name)


def _undocumented(module: Module, body: list[ast.stmt], owner: str) -> Iterator[str]:
    for node in body:
        if isinstance(node, (ast.ClassDef, ast.FunctionDef, ast.AsyncFunctionDef)) and not node.name.startswith("_"):
            overload = any("overload" in ast.unparse(d) or ".setter" in ast.unparse(d) for d in node.decorator_list)
            if not ast.get_docstring(node) and not overload:
                yield f"{module.where}:{node.lineno}: {owner}.{node.name} has no docstring"
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            yield from _undocumented(module, node.body, f"{owner}.{node.name}")
            if _is_dataclass(node):
                yield from _undocumented_fields(module, node)


def _is_dataclass(node: ast.ClassDef) -> bool:
    return any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list)


def _undocumented_fields(module: Module, node: ast.ClassDef) -> Iterator[str]:
    """A field is documented by a `#:` comment above or beside it, or by its name in the class's docstring."""
    lines = module.text.splitlines()
    docstring = ast.get_docstring(node) or ""
    for field in node.body:
        if not isinstance(field, ast.AnnAssign) or not isinstance(field.target, ast.Name):
            continue
        name = field.target.id
        near = lines[field.lineno - 1] + lines[field.lineno - 2]
        if (
            not name.startswith("_")
            and "#:" not in near
            and f"`{name}`" not in docstring
            and f"{name}:" not in docstring
        ):
            yield f"{module.where}:{field.lineno}: {node.name}.{name} is not documented"


def _sdk() -> list[Module]:
    return [module for module in sources.programs() if module.name.split(".")[0] == "ferryman"]


def test_every_public_name_of_the_sdk_is_documented() -> None:
    assert [wrong for module in _sdk() for wrong in undocumented(module)] == []


@pytest.mark.parametrize(
    "text",
    [
        "class A: ...",
        "def f(): ...",
        'class A:\n    """A."""\n    def f(self): ...',
        'class A:\n    """A."""\n    @property\n    def f(self): ...',
        'from dataclasses import dataclass\n@dataclass\nclass A:\n    """A."""\n    size: int',
    ],
)
def test_a_missing_docstring_is_caught(text: str) -> None:
    assert list(undocumented(planted(text, "ferryman.planted")))


@pytest.mark.parametrize(
    "text",
    [
        'class A:\n    """A."""\n    def _f(self): ...',
        "class _A: ...",
        'from dataclasses import dataclass\n@dataclass\nclass A:\n    """A."""\n    #: In bytes.\n    size: int',
        'from dataclasses import dataclass\n@dataclass\nclass A:\n    """A. `size` is in bytes."""\n    size: int',
    ],
)
def test_what_is_documented_or_private_is_not_caught(text: str) -> None:
    assert not list(undocumented(planted(text, "ferryman.planted")))
