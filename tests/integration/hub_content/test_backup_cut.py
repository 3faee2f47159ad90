"""Backups and restores that are killed at every stage, or find no room: what is left is never taken for whole."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from tests.integration.hub_content.rig import PART, Person, Rig, content, running
from tests.integration.hub_content.test_backup import ferryhub

pytestmark = pytest.mark.slow

FILES = {"big": content(2 * PART + 5), "small": content(7)}
LATER = content(PART + 1, seed=2)
STEPS = 5
#: Smaller than the catalogue; smaller than a blob.
LITTLE, MORE = 100_000, PART
#: Runs `ferryhub`, and kills itself at the step with this number of all that touch what is below a directory; says how
#: many there were. Or it is killed by the first byte beyond this size of a file.
_CUT = """
import os, resource, signal, sys
at, below, most = int(sys.argv.pop(1)), sys.argv.pop(1), int(sys.argv.pop(1))
steps = 0
def cut(event, given):
    global steps
    if event in ("open", "os.mkdir", "os.rename", "os.remove", "os.rmdir", "sqlite3.connect"):
        if any(isinstance(each, (str, os.PathLike)) and os.fspath(each).startswith(below) for each in given):
            steps += 1
            if steps == at:
                os.kill(os.getpid(), signal.SIGKILL)
sys.addaudithook(cut)
if most:
    signal.signal(signal.SIGXFSZ, signal.SIG_DFL)
    resource.setrlimit(resource.RLIMIT_FSIZE, (most, most))
from ferryhub.cli import main
code = main(sys.argv[1:])
print("steps", steps)
sys.exit(code)
"""


async def cut(at: int, below: Path, *words: str | Path, most_bytes: int = 0) -> subprocess.CompletedProcess[str]:
    line = [sys.executable, "-c", _CUT, str(at), str(below), str(most_bytes), *map(str, words)]
    env = {name: value for name, value in os.environ.items() if name != "FERRYHUB_DATABASE"}
    return await asyncio.to_thread(subprocess.run, line, env=env, capture_output=True, text=True, check=False)


def spread(said: str) -> list[int]:
    """Some of the steps that a whole run had, from the first to the last."""
    steps = int(said.split("steps ")[1])
    assert steps > STEPS
    return [1 + number * (steps - 1) // (STEPS - 1) for number in range(STEPS)]


@pytest.fixture
async def rig(tmp_path: Path) -> AsyncIterator[Rig]:
    """On SQLite alone."""
    async with running(tmp_path / "hub") as hub:
        yield hub


@pytest.fixture
def backup_dir(tmp_path: Path) -> Path:
    return tmp_path / "backup"


async def whole(backup_dir: Path, state_dir: Path, alice: Person, asset_id: str) -> dict[str, bytes]:
    """What comes back of an asset. The directory is empty afterwards."""
    code, _, error = await ferryhub("restore", backup_dir, state_dir)
    assert (code, error) == (0, "")
    async with running(state_dir) as restored:
        ada = Person(restored.url, alice.token)
        got = await ada.download(asset_id)
        await ada.http.aclose()
    shutil.rmtree(state_dir, ignore_errors=True)
    return got


async def test_a_first_backup_killed_anywhere_is_none(
    rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path
) -> None:
    made = await alice.upload(FILES)
    words = ("backup", backup_dir, "--state-dir", rig.root)
    steps = spread((await cut(0, backup_dir, *words)).stdout)
    for at in steps:
        shutil.rmtree(backup_dir, ignore_errors=True)
        assert (await cut(at, backup_dir, *words)).returncode == -signal.SIGKILL
        if (backup_dir / "manifest.json").exists():  # all but the last catalogues' removal was done
            assert at == steps[-1]
    shutil.rmtree(backup_dir, ignore_errors=True)
    for most in (LITTLE, MORE):
        assert (await cut(0, backup_dir, *words, most_bytes=most)).returncode == -signal.SIGXFSZ
        code, _, error = await ferryhub("restore", backup_dir, tmp_path / "restored")
        assert (code, "holds no whole backup" in error) == (1, True)
    assert list((backup_dir / "blobs").rglob("*.unfinished")), "it was killed in the middle of a blob"
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    assert await whole(backup_dir, tmp_path / "restored", alice, made.asset_id) == FILES


async def test_a_later_backup_killed_anywhere_leaves_a_whole_one(
    rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path
) -> None:
    made = await alice.upload(FILES)
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    await alice.upload({"later": LATER})
    shutil.copytree(backup_dir, before := tmp_path / "before")
    words = ("backup", backup_dir, "--state-dir", rig.root)
    for at in spread((await cut(0, backup_dir, *words)).stdout):
        shutil.rmtree(backup_dir, ignore_errors=True)
        shutil.copytree(before, backup_dir)
        assert (await cut(at, backup_dir, *words)).returncode == -signal.SIGKILL
        assert await whole(backup_dir, tmp_path / "restored", alice, made.asset_id) == FILES


async def test_a_restore_killed_anywhere_is_no_hub(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    made = await alice.upload(FILES)
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
    state_dir = tmp_path / "restored"
    words = ("restore", backup_dir, "--state-dir", state_dir)
    steps = spread((await cut(0, state_dir, *words)).stdout)
    for at in steps:
        shutil.rmtree(state_dir, ignore_errors=True)
        assert (await cut(at, state_dir, *words)).returncode == -signal.SIGKILL
        if (state_dir / "restoring").exists():
            for command in (["users", "list", "--state-dir", state_dir], words):
                refused = await cut(0, state_dir, *command)
                assert (refused.returncode, "was cut short: empty it" in refused.stderr) == (1, True), refused
    shutil.rmtree(state_dir, ignore_errors=True)
    assert await whole(backup_dir, state_dir, alice, made.asset_id) == FILES


async def test_without_room(rig: Rig, alice: Person, backup_dir: Path, tmp_path: Path) -> None:
    """A file of no more than so many bytes can be written: an error like that of a full disk, at the same places."""
    await alice.upload(FILES)
    for most in (LITTLE, MORE):
        line = [sys.executable, "-m", "ferryhub", "backup", str(backup_dir), "--state-dir", str(rig.root)]
        done = await asyncio.to_thread(
            subprocess.run,
            ["sh", "-c", f'ulimit -f {most // 512}; exec "$@"', "sh", *line],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 1
        [said] = done.stderr.splitlines()
        assert said.startswith("ferryhub: "), said
        code, _, error = await ferryhub("restore", backup_dir, tmp_path / "restored")
        assert (code, "holds no whole backup" in error) == (1, True)
    assert (await ferryhub("backup", backup_dir, rig.root))[0] == 0
