"""Where our code is, as files and as modules. Generated code is left out: nobody writes it."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
#: Folder of the checkout and the import packages in it.
PROGRAMS = {"proto": ("ferrywire",), "sdk": ("ferryman",), "daemon": ("ferryd",), "hub": ("ferryhub",)}
GENERATED = ("_pb2.py", "_connect.py")


@dataclass(frozen=True)
class Module:
    """A source file and the name it is imported by."""

    name: str
    path: Path
    text: str

    @property
    def tree(self) -> ast.Module:
        return _parse(self.text)

    @property
    def where(self) -> str:
        return str(self.path.relative_to(ROOT)) if self.path.is_relative_to(ROOT) else str(self.path)


@cache
def _parse(text: str) -> ast.Module:
    return ast.parse(text)


def planted(text: str, name: str = "ferryd.engine.planted") -> Module:
    """A module that exists only in a test: what a rule must catch."""
    return Module(name, Path("planted.py"), text)


def programs() -> list[Module]:
    """Every hand-written module of the four import packages."""
    return [
        module
        for folder, packages in PROGRAMS.items()
        for package in packages
        for module in _below(ROOT / folder, ROOT / folder / package)
    ]


def tests() -> list[Module]:
    """Every test module and what supports them."""
    return list(_below(ROOT, ROOT / "tests"))


def tools() -> list[Module]:
    """Scripts round the programs: benchmarks, examples, generators, CI."""
    found = [*_below(ROOT, ROOT / "bench"), *_below(ROOT, ROOT / "docs"), *_below(ROOT, ROOT / ".ci")]
    return [*found, _module(ROOT, ROOT / "proto" / "generate.py")]


def _below(root: Path, directory: Path) -> Iterator[Module]:
    for path in sorted(directory.rglob("*.py")):
        if not path.name.endswith(GENERATED):
            yield _module(root, path)


def _module(root: Path, path: Path) -> Module:
    name = ".".join(path.relative_to(root).with_suffix("").parts).removesuffix(".__init__")
    return Module(name, path, path.read_text(encoding="utf-8"))
