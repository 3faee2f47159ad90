"""`ferryhub verify` beside a hub that serves, on both databases (in a bucket: `test_s3.py`)."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, Connection

from ferryhub.catalogue import checks
from tests.integration.hub_content.rig import PART, Person, Rig, content
from tests.support.postgres import plain

pytestmark = pytest.mark.slow

FILES = {"a/big": content(3 * PART + 5), "b": content(PART), "empty": b"", "c": content(7)}
COUNTED = {"files": 4, "bytes": sum(map(len, FILES.values()))}


def command(rig: Rig, database_url: URL | None, *words: str) -> tuple[list[str], dict[str, str]]:
    env = {name: value for name, value in os.environ.items() if name != "FERRYHUB_DATABASE"}
    if database_url is not None and database_url.drivername.startswith("postgres"):
        env["FERRYHUB_DATABASE"] = plain(database_url)
    return [sys.executable, "-m", "ferryhub", "verify", "--state-dir", str(rig.root), *words], env


async def verify(rig: Rig, database_url: URL | None, *words: str) -> tuple[dict[str, Any], str, int]:
    """What it gives as JSON, what it says, its exit code."""
    line, env = command(rig, database_url, "--json", *words)
    done = await asyncio.to_thread(subprocess.run, line, env=env, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return json.loads(done.stdout), done.stderr, done.returncode


def blob(rig: Rig, size: int) -> Path:
    [found] = [path for path in rig.files if path.stat().st_size == size]
    found.chmod(0o600)
    return found


def flip(path: Path, offset: int) -> None:
    data = bytearray(path.read_bytes())
    data[offset] ^= 1
    path.write_bytes(data)


async def test_what_is_well(rig: Rig, alice: Person, database_url: URL) -> None:
    await alice.upload(FILES)
    assert await verify(rig, database_url) == (COUNTED | {"damaged": 0, "found": []}, "", 0)
    assert await rig.database.read(checks.load_state) is None, "the next one begins anew"


async def test_counting_all_there_is_may_take_longer_than_a_call(rig: Rig) -> None:
    def limit_of(conn: Connection, *, counted: bool) -> str:
        if counted:
            checks.totals(conn)
        on_postgres = conn.dialect.name == "postgresql"
        return str(conn.exec_driver_sql("SHOW statement_timeout").scalar_one()) if on_postgres else "0"

    assert await rig.database.read(limit_of, counted=True) == "0"
    assert await rig.database.read(limit_of, counted=False) in ("0", "30s"), "for that statement alone"


async def test_all_damage_is_found_and_named(rig: Rig, alice: Person, database_url: URL) -> None:
    made = await alice.upload(FILES)
    for offset in (0, PART, 3 * PART + 4):
        flip(blob(rig, len(FILES["a/big"])), offset)
    blob(rig, len(FILES["b"])).unlink()
    os.truncate(blob(rig, len(FILES["c"])), 6)
    result, said, code = await verify(rig, database_url)
    assert code == 1
    assert {each["asset_id"] for each in result["found"]} == {made.asset_id}
    wrong, missing = "other bytes than were stored", "is missing"
    assert [(each["path"], each["first_block"], each["last_block"], each["problem"]) for each in result["found"]] == [
        ("a/big", 0, 3, wrong),
        ("a/big", 6, 6, wrong),
        ("b", 0, 1, missing),
        ("c", 0, 0, "has 6 bytes and should have 7"),
        ("c", 0, 0, wrong),
    ]
    assert f"damaged: {made.asset_id} version 1: 'a/big' blocks 0 to 1: {wrong}" in said


async def test_a_killed_one_goes_on_where_it_was(rig: Rig, alice: Person, database_url: URL) -> None:
    """At 1 MiB/s it is killed in the middle of the large file, behind the damage; the next one still tells of it."""
    await alice.upload(FILES)
    flip(blob(rig, len(FILES["a/big"])), 0)
    words, env = command(rig, database_url, "--rate", "1M")
    first = await asyncio.create_subprocess_exec(*words, env=env, stderr=subprocess.DEVNULL)
    await _first_part_checked(rig)
    first.kill()
    await first.wait()
    # What was read is not read again: now it could not be.
    flip(blob(rig, len(FILES["a/big"])), 0)
    result, _, code = await verify(rig, database_url)
    assert code == 1
    assert {key: result[key] for key in COUNTED} == COUNTED
    assert [(each["path"], each["first_block"], each["last_block"]) for each in result["found"]] == [("a/big", 0, 1)]
    anew, _, code = await verify(rig, database_url, "--restart")
    assert (anew["damaged"], code) == (0, 0)


async def _first_part_checked(rig: Rig) -> None:
    async with asyncio.timeout(60):
        while not await _parts_checked(rig):  # noqa: ASYNC110 - by another process
            await asyncio.sleep(0.01)


async def _parts_checked(rig: Rig) -> int:
    saved = await rig.database.read(checks.load_state)
    return json.loads(saved)["parts"] if saved else 0


async def test_two_at_once_one_ends(rig: Rig, alice: Person, database_url: URL) -> None:
    await alice.upload(FILES)
    words, env = command(rig, database_url, "--rate", "1M")
    first = await asyncio.create_subprocess_exec(*words, env=env, stderr=subprocess.PIPE)
    await _first_part_checked(rig)
    first.send_signal(signal.SIGSTOP)  # it is not done before the other has begun
    result, _, code = await verify(rig, database_url)
    first.send_signal(signal.SIGCONT)
    assert (result["damaged"], code) == (0, 0)
    _, said = await first.communicate()
    assert first.returncode == 1
    assert b"another 'ferryhub verify' has begun" in said
