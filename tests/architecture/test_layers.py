"""The import contracts of pyproject.toml are kept, and each of them is broken by a planted import."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.architecture.sources import PROGRAMS, ROOT

CONFIG = ROOT / "pyproject.toml"
#: One line added to one module, for every contract of pyproject.toml.
PLANTED = {
    "The three programs meet only on the wire (the daemon's root alone embeds the hub)": (
        "sdk/ferryman/planted.py",
        "import ferryd.core.model",
    ),
    "The contract is a leaf": ("proto/ferrywire/planted.py", "import ferryman.planted"),
    "Daemon layers": ("daemon/ferryd/core/planted.py", "import ferryd.engine.planted"),
    "The engine knows the ports, not the adapters": ("daemon/ferryd/engine/planted.py", "import ferryd.store.planted"),
    "The edge talks to the engine, never to storage or network": (
        "daemon/ferryd/rpc/planted.py",
        "import ferryd.store.planted",
    ),
    "Protobuf stays at the edges": (
        "daemon/ferryd/lanes/planted.py",
        "import ferryapi.daemon.v1.daemon_service_pb2",
    ),
    "Only the composition root reads the daemon's configuration": (
        "daemon/ferryd/remote/planted.py",
        "import ferryd.config",
    ),
    "Hub layers": ("hub/ferryhub/catalogue/planted.py", "import ferryhub.rpc.planted"),
}


def _lint(cwd: Path, **env: str) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache", "--config", str(CONFIG)]
    return subprocess.run(command, cwd=cwd, env={**os.environ, **env}, capture_output=True, text=True, check=False)


def test_every_contract_is_kept() -> None:
    done = _lint(ROOT)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture
def copy(tmp_path: Path) -> Path:
    """A copy of the packages that a test may spoil."""
    for folder in PROGRAMS:
        shutil.copytree(ROOT / folder, tmp_path / folder, ignore=shutil.ignore_patterns("__pycache__", "*.proto"))
    return tmp_path


def test_every_contract_catches_its_planted_violation(copy: Path) -> None:
    contracts = {row["name"] for row in tomllib.loads(CONFIG.read_text())["tool"]["importlinter"]["contracts"]}
    assert PLANTED.keys() == contracts, "a contract without a planted violation, or the other way round"
    for file in ("daemon/ferryd/store/planted.py", "hub/ferryhub/rpc/planted.py"):
        (copy / file).write_text("")
    for file, line in PLANTED.values():
        (copy / file).write_text(line)
    done = _lint(copy, PYTHONPATH=os.pathsep.join(str(copy / folder) for folder in PROGRAMS))
    kept = [name for name in PLANTED if f"{name} BROKEN" not in " ".join(done.stdout.split())]
    assert not kept, done.stdout + done.stderr
