"""The rules of the code, as functions from a module to what is wrong with it: each can be tried on a planted one."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from tests.architecture.sources import Module

MODULE_LINES = 400
TEST_MODULE_LINES = 600
FUNCTION_LINES = 60
CLASS_LINES = 250
PARAMETERS = 8
#: A third-party or storage module, and the only packages that may import it. Longest match wins.
ONLY_IN = {
    "sqlite3": ("ferryd.store",),
    "aiosqlite": (),
    "sqlalchemy": ("ferryhub",),
    "alembic": ("ferryhub",),
    "authlib": ("ferryhub.auth.oauth", "ferryhub.auth.provider"),
    "joserfc": ("ferryhub.auth.provider",),
    "jinja2": ("ferryhub.web",),
    "pwdlib": ("ferryhub.auth.passwords",),
    "starlette": ("ferryhub",),
    "uvicorn": ("ferryhub",),
    "connectrpc": ("ferryhub",),
    "httpx": ("ferryd.remote", "ferryhub.auth.provider"),
    "pathspec": ("ferrywire.patterns",),
    "uvloop": ("ferryd.app", "ferryd.lifecycle", "ferryhub"),
    "psutil": ("ferryd",),
    "xxhash": ("ferrywire.digest", "ferryd.lanes", "ferryhub.blobs"),
    "grpc": ("ferryd.rpc", "ferryman"),
    "google.protobuf": ("ferrywire.status", "ferryd.rpc", "ferryd.remote", "ferryman", "ferryhub.rpc"),
    "google.rpc": ("ferrywire.status", "ferryd.rpc", "ferryd.remote", "ferryman", "ferryhub.rpc"),
    "opentelemetry": ("ferrywire.tracing",),
    "prometheus_client": ("ferrywire.scraping", "ferryhub.metrics", "ferryd.lifecycle.metrics"),
    "ferryapi": ("ferrywire", "ferryd.rpc", "ferryd.remote", "ferryman", "ferryhub.rpc"),
}
#: What the SDK may import besides the standard library: it must install with these alone.
SDK_MAY_IMPORT = ("ferryman", "ferrywire", "ferryapi", "grpc", "google")
#: Calls whose arguments DESIGN 5 fixes: many, all keywords, each with a default people rely on.
WIDE_CALLS = frozenset({"upload", "create_relationship"})
_GROUP = re.compile(r"(^|_)(group|tasks)$")

Function = ast.FunctionDef | ast.AsyncFunctionDef


def sizes(module: Module, module_lines: int = MODULE_LINES) -> Iterator[str]:
    """Modules, classes and functions within their budgets. Docstrings do not count against a class or function."""
    lines = len(module.text.splitlines())
    if lines > module_lines:
        yield f"{module.where}: {lines} lines, at most {module_lines}"
    for node in ast.walk(module.tree):
        if isinstance(node, Function) and (count := _code_lines(node)) > FUNCTION_LINES:
            yield f"{module.where}:{node.lineno}: {node.name} has {count} lines, at most {FUNCTION_LINES}"
        if isinstance(node, ast.ClassDef) and (count := _code_lines(node)) > CLASS_LINES:
            yield f"{module.where}:{node.lineno}: {node.name} has {count} lines, at most {CLASS_LINES}"


def parameters(module: Module) -> Iterator[str]:
    """No function with more parameters than a reader can hold; `self` and `cls` do not count."""
    for node in ast.walk(module.tree):
        if not isinstance(node, Function) or (module.name.startswith("ferryman") and node.name in WIDE_CALLS):
            continue
        names = [a.arg for a in (*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs)]
        count = len([name for name in names if name not in ("self", "cls")])
        if count > PARAMETERS:
            yield f"{module.where}:{node.lineno}: {node.name} has {count} parameters, at most {PARAMETERS}"


def documented_module(module: Module) -> Iterator[str]:
    """Every module says what lives in it; an empty `__init__.py` has nothing to say."""
    if module.text.strip() and not ast.get_docstring(module.tree):
        yield f"{module.where}: no module docstring"


def bare_tasks(module: Module) -> Iterator[str]:
    """Tasks start in a task group and nowhere else: a bare one can fail unseen and outlive its owner."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Attribute) and node.attr == "ensure_future":
            yield f"{module.where}:{node.lineno}: ensure_future; use a TaskGroup"
        if isinstance(node, ast.Attribute) and node.attr == "create_task" and not _GROUP.search(_last_name(node.value)):
            yield f"{module.where}:{node.lineno}: bare create_task; use a TaskGroup, named group or tasks"
        if isinstance(node, ast.ImportFrom) and node.module == "asyncio":
            for alias in node.names:
                if alias.name in ("create_task", "ensure_future"):
                    yield f"{module.where}:{node.lineno}: imports {alias.name}; use a TaskGroup"


def misplaced_imports(module: Module) -> Iterator[str]:
    """Each outside library is known to the few packages that wrap it."""
    for line, name in imports(module):
        for library, allowed in ONLY_IN.items():
            if _within(name, library) and not any(_within(module.name, package) for package in allowed):
                yield f"{module.where}:{line}: imports {name}; only {', '.join(allowed) or 'nobody'} may"


def sdk_imports(module: Module, standard: frozenset[str]) -> Iterator[str]:
    """The SDK needs grpcio, protobuf and the googleapis messages, and nothing else; `ferryman.cli` is an extra."""
    if not _within(module.name, "ferryman") or _within(module.name, "ferryman.cli"):
        return
    for line, name in imports(module):
        top = name.split(".")[0]
        if top not in SDK_MAY_IMPORT and top not in standard:
            yield f"{module.where}:{line}: imports {name}, which the SDK alone does not install"


def vague_names(module: Module) -> Iterator[str]:
    """A module is called by what is in it."""
    if module.name.rsplit(".", 1)[-1].strip("_") in ("utils", "util", "common", "helpers", "helper", "misc"):
        yield f"{module.where}: name it by what is in it"


def imports(module: Module) -> Iterator[tuple[int, str]]:
    """(line, full name) of everything the module imports, `from a import b` as `a.b`."""
    for node in ast.walk(module.tree):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        if isinstance(node, ast.ImportFrom) and node.level == 0 and node.module:
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def _within(name: str, package: str) -> bool:
    return name == package or name.startswith(package + ".")


def _last_name(node: ast.expr) -> str:
    if isinstance(node, ast.Attribute):
        return node.attr
    return node.id if isinstance(node, ast.Name) else ""


def _code_lines(node: Function | ast.ClassDef) -> int:
    """Lines from `def` or `class` to the end, without the docstrings of it and of what is inside."""
    assert node.end_lineno is not None
    owners = [inner for inner in ast.walk(node) if isinstance(inner, (*_FUNCTIONS, ast.ClassDef))]
    return node.end_lineno - node.lineno + 1 - sum(_docstring_lines(owner) for owner in owners)


def _docstring_lines(node: Function | ast.ClassDef) -> int:
    first = node.body[0]
    if isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant) and isinstance(first.value.value, str):
        return (first.end_lineno or first.lineno) - first.lineno + 1
    return 0


_FUNCTIONS = (ast.FunctionDef, ast.AsyncFunctionDef)
