"""The commands `ferryhub backup` and `ferryhub restore`, for a hub whose catalogue is SQLite and whose bytes are files.

The catalogue is copied first, as it is at one moment, then the blobs that it names, which never change; the manifest
comes last. So a backup may run while the hub serves, and one that was cut short is not one.
"""

from __future__ import annotations

import argparse
import asyncio
import fcntl
import json
import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import closing
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any, Final

from ferryhub.command import add_command, require_hub, say, settings
from ferryhub.config import HubSettings

if TYPE_CHECKING:
    from sqlalchemy import Row

    from ferryhub.blobs.damage import Damage
    from ferryhub.catalogue.database import Database

_MANIFEST: Final = "manifest.json"
_LOCK: Final = "backup.lock"
_BLOBS: Final = "blobs"
_FORMAT: Final = 1
_FILES_AT_ONCE: Final = 32
#: What a state directory may hold that counts as empty: a disk of its own has it.
_NOTHING: Final = {"lost+found"}
_WINDOW_BYTES: Final = 1 << 20


def add_backup_commands(commands: Any) -> None:
    """Add them to the parser of `ferryhub`."""
    text = "copy catalogue and bytes to a directory while the hub serves; again to the same one copies what is new"
    backup = add_command(commands, "backup", _backup, text)
    backup.add_argument("directory", type=Path, metavar="BACKUP", help="made when missing, private: it holds secrets")
    backup.add_argument("--link", action="store_true", help="hard links instead of copies where that can be")
    restore = add_command(commands, "restore", _restore, "make an empty state directory what a backup holds")
    restore.add_argument("directory", type=Path, metavar="BACKUP")


def _backup(args: argparse.Namespace) -> int:
    chosen, directory = settings(args), args.directory.expanduser().absolute()
    if chosen.database_url:
        raise RuntimeError("the catalogue is in PostgreSQL: back it up with pg_dump, and the bytes where they are kept")
    require_hub(chosen)
    with _locked_backup(directory):
        return asyncio.run(_make(chosen, directory, link=args.link))


def _locked_backup(directory: Path) -> IO[bytes]:
    """Take a directory that is empty or holds backups. Error: `RuntimeError` for any other."""
    directory.mkdir(mode=0o700, parents=True, exist_ok=True)
    found = {path.name for path in directory.iterdir()} - _NOTHING
    if found and _LOCK not in found:
        raise RuntimeError(f"{directory} is not empty and holds no backup: choose another directory")
    return _locked((directory / _LOCK).open("ab"), fcntl.LOCK_EX, directory)


def _locked(lock: IO[bytes], how: int, directory: Path) -> IO[bytes]:
    try:
        fcntl.flock(lock, how | fcntl.LOCK_NB)
    except BlockingIOError as error:
        lock.close()
        raise RuntimeError(f"another backup or restore uses {directory}; wait for it") from error
    return lock


async def _make(chosen: HubSettings, directory: Path, *, link: bool) -> int:
    from ferryhub.blobs.copies import BlobCopier, sync
    from ferryhub.catalogue import checks, schema
    from ferryhub.catalogue.database import Database, sqlite_url
    from ferryhub.catalogue.sqlite import copy_catalogue
    from ferrywire.ids import new_id

    copied = directory / f"{new_id('cat')}.db"
    copied.touch(mode=0o600)
    await asyncio.to_thread(copy_catalogue, chosen.catalogue_path, copied)
    copier = BlobCopier(chosen.blobs_dir, directory / _BLOBS, link=link)
    database = Database(sqlite_url(copied))
    try:
        if await database.read(schema.secrets_if_current) is None:
            raise RuntimeError("the catalogue is of another release: use the ferryhub that serves it")
        # What has arrived of uploads under way is not copied: it is sent again to a hub that was restored.
        await database.write(checks.forget_staged)
        whole, elsewhere = await database.read(checks.totals), await database.read(checks.elsewhere)
        damaged = await _copy_all(database, copier.copy)
    finally:
        await database.close()
    copier.finish()
    sync(copied)
    _write_manifest(directory, copied)
    say(f"{whole.files} files, {whole.size_bytes} bytes; copied now: {copier.files} files, {copier.size_bytes} bytes")
    _note_elsewhere(elsewhere)
    return _tell(damaged)


def _write_manifest(directory: Path, catalogue: Path) -> None:
    from ferryhub.blobs.copies import sync
    from ferrywire.digest import to_text

    made_at = datetime.now(UTC).isoformat(timespec="seconds")
    said = {"format": _FORMAT, "catalogue": catalogue.name, "digest": to_text(_digest(catalogue)), "made_at": made_at}
    unfinished = directory / f"{_MANIFEST}.unfinished"
    unfinished.write_text(json.dumps(said, indent=1) + "\n")
    sync(unfinished)
    sync(directory)
    unfinished.replace(directory / _MANIFEST)
    sync(directory)
    for path in directory.glob("cat_*.db*"):  # of backups before, and of such as were cut short
        if path != catalogue:
            path.unlink()


def _restore(args: argparse.Namespace) -> int:
    from ferryhub.app import lock_state_dir

    chosen, directory = settings(args), args.directory.expanduser().absolute()
    if chosen.database_url:
        raise RuntimeError("the catalogue belongs into PostgreSQL: restore it with pg_restore")
    if not (directory / _MANIFEST).exists():
        raise RuntimeError(f"{directory} holds no whole backup: it has no {_MANIFEST}, which is written last")
    _require_empty(chosen.state_dir)
    with _locked((directory / _LOCK).open("rb"), fcntl.LOCK_SH, directory):
        catalogue = _checked_catalogue(directory)
        with closing(lock_state_dir(chosen.state_dir)):
            return asyncio.run(_bring_back(catalogue, directory, chosen))


def _require_empty(state_dir: Path) -> None:
    from ferryhub.app import LOCK_NAME, RESTORING_NAME

    found = {path.name for path in state_dir.iterdir()} if state_dir.exists() else set()
    if RESTORING_NAME in found:
        raise RuntimeError(f"a restore into {state_dir} was cut short: empty it and restore again")
    if found - _NOTHING - {LOCK_NAME}:
        raise RuntimeError(f"{state_dir} is not empty: restore into an empty directory")


def _checked_catalogue(directory: Path) -> Path:
    """The backup's catalogue, as it was written. Error: `RuntimeError`."""
    from ferrywire.digest import to_text

    manifest = json.loads((directory / _MANIFEST).read_text())
    if manifest["format"] != _FORMAT:
        raise RuntimeError(f"{directory} was made by another release: use that one's ferryhub")
    catalogue: Path = directory / Path(manifest["catalogue"]).name
    if not catalogue.exists() or to_text(_digest(catalogue)) != manifest["digest"]:
        raise RuntimeError(f"the catalogue in {directory}, {catalogue.name}, is missing or damaged")
    return catalogue


async def _bring_back(catalogue: Path, directory: Path, chosen: HubSettings) -> int:
    """Bytes first. The catalogue gets its place last: a restore that was cut short leaves no hub."""
    from ferryhub.app import RESTORING_NAME, open_catalogue
    from ferryhub.blobs.copies import BlobCopier, sync
    from ferryhub.catalogue import checks

    workshop = HubSettings(state_dir=chosen.state_dir / RESTORING_NAME)
    workshop.state_dir.mkdir(mode=0o700)
    shutil.copyfile(catalogue, workshop.catalogue_path)
    copier = BlobCopier(directory / _BLOBS, chosen.blobs_dir)
    async with open_catalogue(workshop) as (database, _):
        damaged = await _copy_all(database, copier.copy)
        elsewhere = await database.read(checks.elsewhere)
    copier.finish()
    sync(workshop.catalogue_path)
    workshop.catalogue_path.rename(chosen.catalogue_path)
    shutil.rmtree(workshop.state_dir)
    sync(chosen.state_dir)
    which = f"all but {len(damaged)}" if damaged else "all"
    say(f"{copier.files} files with bytes, {copier.size_bytes} bytes, {which} as they were when they were stored")
    _note_elsewhere(elsewhere)
    return _tell(damaged)


async def _copy_all(database: Database, copy: Any) -> list[Damage]:
    """Copy every file; returns what could not be."""
    found = []
    async for file in _own_files(database):
        if (damage := await asyncio.to_thread(copy, file)) is not None:
            found.append(damage)
    return found


async def _own_files(database: Database) -> AsyncIterator[Row[Any]]:
    """All files of the catalogue whose bytes are the hub's own files."""
    from ferryhub.catalogue import checks
    from ferryhub.catalogue.locations import OWN_FILES

    at: tuple[str, int] = ("", -1)
    while files := await database.read(checks.files_after, *at, _FILES_AT_ONCE):
        for file in files:
            if file.blob_key and file.storage_location == OWN_FILES:
                yield file
        at = files[-1].content_id, files[-1].file_index


def _digest(path: Path) -> bytes:
    from ferrywire.digest import BlockHasher, of_blocks

    hasher = BlockHasher()
    with path.open("rb", buffering=0) as file:
        while window := file.read(_WINDOW_BYTES):
            hasher.update(memoryview(window))
    return of_blocks(hasher.block_digests())


def _note_elsewhere(names: list[str]) -> None:
    if names:
        _note(f"bytes in {', '.join(names)} are not part of it: back those buckets up too")


def _tell(damaged: list[Damage]) -> int:
    for each in damaged:
        _note(f"not copied: {each}")
    return 1 if damaged else 0


def _note(line: str) -> None:
    print(f"ferryhub: {line}", file=sys.stderr)  # noqa: T201
