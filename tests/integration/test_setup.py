"""The set-up behind `./check` and `./quickstart`, on a small checkout: quick again, and right after every mishap."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PYPROJECT = """\
[build-system]
requires = ["hatchling"]
build-backend = "hatchling.build"
[project]
name = "small"
version = "1"
[project.optional-dependencies]
daemon = []
dev = []
[tool.hatch.build.targets.wheel]
packages = ["src/small"]
"""
SAYS = "setting up"


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A checkout with a package of one line."""
    root = tmp_path / "a check out"
    (root / "src" / "small").mkdir(parents=True)
    (root / "src" / "small" / "__init__.py").write_text("WHERE = __file__\n")
    (root / "pyproject.toml").write_text(PYPROJECT)
    shutil.copytree(ROOT / ".ci", root / ".ci", ignore=shutil.ignore_patterns("__pycache__"))
    return root


def _set_up(root: Path, extra: str = "dev", **env: str) -> str:
    """Run the set-up as the commands do; what it said."""
    script = (
        f'. "{root}/.ci/venv.sh"; ferry_venv "{root}" {extra}; "$VENV_PYTHON" -c "import small; print(small.WHERE)"'
    )
    bare = {name: value for name, value in os.environ.items() if name.startswith(("PIP_", "SSL_")) or name == "PATH"}
    base = Path(sys.executable).resolve().parent
    path = f"{base}{os.pathsep}{os.defpath}"
    done = subprocess.run(
        ["sh", "-euc", script], env={**bare, "PATH": path, **env}, capture_output=True, text=True, check=False, cwd="/"
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.strip() == str(root / "src" / "small" / "__init__.py")
    return done.stderr


def test_a_second_run_installs_nothing(checkout: Path) -> None:
    assert SAYS in _set_up(checkout)
    assert SAYS not in _set_up(checkout)
    assert SAYS not in _set_up(checkout, "daemon"), "dev holds what daemon asks for"


def test_changed_dependencies_are_installed(checkout: Path) -> None:
    assert SAYS in _set_up(checkout, "daemon")
    assert SAYS in _set_up(checkout, "dev")
    (checkout / "pyproject.toml").write_text(PYPROJECT + "# changed\n")
    assert SAYS in _set_up(checkout)
    assert SAYS not in _set_up(checkout)


def test_an_interrupted_set_up_starts_over(checkout: Path) -> None:
    _set_up(checkout)
    (checkout / ".venv" / "unfinished").touch()
    left = checkout / ".venv" / "left-over"
    left.touch()
    assert SAYS in _set_up(checkout)
    assert not left.exists()


def test_a_broken_python_is_replaced(checkout: Path) -> None:
    _set_up(checkout)
    for link in (checkout / ".venv" / "bin").glob("python*"):
        link.unlink()
        link.symlink_to("/nowhere/python")
    assert SAYS in _set_up(checkout)


def test_a_moved_checkout_is_set_up_again(checkout: Path) -> None:
    _set_up(checkout)
    moved = checkout.rename(checkout.with_name("elsewhere"))
    assert SAYS in _set_up(moved)
    assert SAYS not in _set_up(moved)


def test_a_venv_that_is_a_link_is_left_to_its_owner(checkout: Path, tmp_path: Path) -> None:
    owners = tmp_path / "owners"
    owners.mkdir()
    (owners / "theirs").touch()
    (checkout / ".venv").symlink_to(owners)
    _set_up(checkout)
    assert (owners / "theirs").exists()


def test_a_python_without_ensurepip_fetches_pip(checkout: Path, tmp_path: Path) -> None:
    """As on Debian, where ensurepip is a package of its own."""
    hidden = tmp_path / "hidden"
    hidden.mkdir()
    (hidden / "ensurepip.py").write_text("raise ImportError('not here')\n")
    bare = {**os.environ, "PYTHONPATH": str(hidden)}
    command = [str(Path(sys.executable).resolve()), str(checkout / ".ci" / "venv.py"), "dev"]
    done = subprocess.run(command, env=bare, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert SAYS not in _set_up(checkout)


def test_no_python_is_one_clear_sentence(checkout: Path, tmp_path: Path) -> None:
    (tmp_path / "empty").mkdir()
    script = f'. "{checkout}/.ci/venv.sh"; ferry_venv "{checkout}" dev'
    done = subprocess.run(
        ["/bin/sh", "-euc", script], env={"PATH": str(tmp_path / "empty")}, capture_output=True, text=True, check=False
    )
    assert done.returncode == 1
    assert "Python 3.11 or newer" in done.stderr
