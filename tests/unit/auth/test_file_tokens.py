"""The private file of tokens: several hubs, several writers, and what a damaged one costs."""

from __future__ import annotations

import asyncio
import json
import os
import stat
import threading
from pathlib import Path
from typing import Any

import pytest

from ferryd.auth.tokens import FileTokens, Tokens
from ferryd.core.model import Context
from ferrywire.reasons import FerryError

LAB = Context("lab", "http://lab.example")
OLD = Tokens("fat_old_secret", "frt_old_secret", lifetime_s=3600.0, expires_at=1.8e9, scopes=("read", "write"))
NEW = Tokens("fat_new_secret")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "tokens.json"


async def test_each_hub_has_its_own(path: Path) -> None:
    store, other = FileTokens(path), Context("other", "unix:/run/hub.sock")
    await store.save(LAB, OLD)
    await store.save(other, NEW)
    await store.delete(LAB)
    later = FileTokens(path)
    assert (await later.load(LAB), await later.load(other)) == (None, NEW)
    assert b"fat_old_secret" not in path.read_bytes()


async def test_signing_out_where_nobody_is_signed_in_makes_no_file(path: Path) -> None:
    await FileTokens(path).delete(LAB)
    assert not path.exists()


async def test_a_writer_that_is_cancelled_disturbs_nobody(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its thread goes on, so it must not meet the next one in the file."""
    store, other, fsync = FileTokens(path), Context("other", "http://other.example"), os.fsync
    begun, second = threading.Event(), threading.Event()

    def slow(descriptor: int) -> None:
        if begun.is_set():
            second.set()
        else:
            begun.set()
            second.wait(0.3)  # gives a second writer every chance to come in between
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", slow)
    first = asyncio.ensure_future(store.save(LAB, OLD))
    await asyncio.to_thread(begun.wait)
    first.cancel()
    await store.save(other, NEW)
    assert await FileTokens(path).load(other) == NEW
    assert await FileTokens(path).load(LAB) == OLD, "once begun it is finished"
    assert first.cancelled()


async def test_a_write_repeated_after_a_failure_is_durable(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The rename may be there while its directory was not synced: that it looks stored is no reason to stop."""
    store, fsync, synced = FileTokens(path), os.fsync, []

    def fails_for_directories(descriptor: int) -> None:
        if stat.S_ISDIR(os.fstat(descriptor).st_mode):
            raise OSError(5, "Input/output error")
        fsync(descriptor)

    def watched(descriptor: int) -> None:
        synced.append(stat.S_ISDIR(os.fstat(descriptor).st_mode))
        fsync(descriptor)

    with monkeypatch.context() as patched:
        patched.setattr(os, "fsync", fails_for_directories)
        with pytest.raises(FerryError):
            await store.save(LAB, OLD)
    monkeypatch.setattr(os, "fsync", watched)
    await store.save(LAB, OLD)
    assert synced == [False, True]


@pytest.mark.parametrize(
    "damage",
    [
        {"access_token": ""},
        {"access_token": 7},
        {"refresh_token": ["frt_old_secret"]},
        {"refresh_token": None},
        {"expires_at": "soon"},
        {"expires_at": float("nan")},
        {"lifetime_s": "3600"},
        {"scopes": [1]},
        {"scopes": None},
        {"colour": "blue"},
    ],
    ids=str,
)
async def test_a_damaged_entry_is_never_used_and_never_repeated(
    path: Path, damage: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    key = "lab http://lab.example"
    path.write_text(json.dumps({"version": 1, "tokens": {key: OLD.to_json() | damage}}))
    assert await FileTokens(path).load(LAB) is None
    (kept,) = path.parent.iterdir()
    assert kept.name.startswith("tokens.json.damaged-")
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert "secret" not in caplog.text.replace(str(path.parent), "")


async def test_an_unreadable_file_is_said_and_not_taken_for_signed_out(path: Path) -> None:
    path.symlink_to("/dev/null")
    with pytest.raises(FerryError) as refused:
        await FileTokens(path).load(LAB)
    assert refused.value.reason == "IO_ERROR"
    with pytest.raises(FerryError):
        await FileTokens(path).save(LAB, NEW)
    assert path.is_symlink()
