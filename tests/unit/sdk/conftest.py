"""A runtime directory of its own and a fake daemon for every test of the SDK."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client
from tests.unit.sdk.fake import FakeDaemon


@pytest.fixture
def runtime(monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty FERRYMAN_RUNTIME_DIR (short: socket paths have a limit), with state and config beside it."""
    base = Path(tempfile.mkdtemp(prefix="fm-"))
    for name in ("SOCKET", "HUB", "TOKEN"):
        monkeypatch.delenv(f"FERRYMAN_{name}", raising=False)
    for name in ("RUNTIME", "STATE", "CONFIG"):
        monkeypatch.setenv(f"FERRYMAN_{name}_DIR", str(base / name.lower()))
    yield base / "runtime"
    shutil.rmtree(base)


@pytest.fixture
def daemon(runtime: Path) -> Iterator[FakeDaemon]:
    runtime.mkdir(mode=0o700)
    fake = FakeDaemon(runtime / "daemon.sock")
    yield fake
    fake.stop()


@pytest.fixture
def client(daemon: FakeDaemon) -> Iterator[Client]:
    with Client(auto_start=False) as connected:
        yield connected
