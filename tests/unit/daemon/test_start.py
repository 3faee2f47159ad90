"""The daemon's start: what it does without, and what it hides from the garbage collector."""

from __future__ import annotations

import gc
import subprocess
import sys

import pytest

from ferryd.lifecycle.uncollected import uncollected

#: Needed by few daemons, or not before the first answer.
LATER = {
    "alembic",
    "argon2",
    "authlib",
    "connectrpc",
    "ferryhub",
    "httpx",
    "importlib.resources",
    "jinja2",
    "prometheus_client",
    "psutil",
    "sqlalchemy",
    "tempfile",
    "tomllib",
}


def test_the_daemon_starts_without_what_it_needs_later() -> None:
    code = "import sys, ferryd.cli, ferryd.app; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert not LATER & set(done.stdout.split())


def test_what_is_imported_uncollected_is_never_looked_at_again() -> None:
    before = gc.get_freeze_count()
    try:
        with uncollected():
            assert not gc.isenabled()
        assert gc.isenabled()
        assert gc.get_freeze_count() > before
    finally:
        gc.unfreeze()


def test_the_collector_is_back_after_a_failed_import() -> None:
    try:
        with pytest.raises(ModuleNotFoundError), uncollected():
            raise ModuleNotFoundError("sqlalchemy")
        assert gc.isenabled()
    finally:
        gc.unfreeze()
