"""The main job on real files: upload, describe, link, download elsewhere, compare byte for byte. Run by `./quickstart`.

Only the public SDK. The daemon it starts lives in `.quickstart/` inside the checkout and is stopped at the end, so that
nobody's own daemon or data is touched.
"""

from __future__ import annotations

import argparse
import csv
import fcntl
import hashlib
import io
import os
import secrets
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from ferryman import Client, DaemonError, DownloadResult, ProgressEvent, UploadResult

ROOT = Path(__file__).resolve().parents[2]
WORK = ROOT / ".quickstart"
MIB = 1 << 20
GENERATED_BYTES = 256 * MIB
PENGUINS = "palmerpenguins==0.1.6"
#: What is left of a Unix socket's 103 bytes for the directory.
LONGEST_RUNTIME_DIR = 103 - len("/daemon.sock")
#: How often a progress line is written where none can be drawn over.
LINE_EVERY_S = 2.0
#: How long a daemon may take to write down where it is and end.
STOP_TIMEOUT_S = 60.0


class Problem(Exception):
    """Something the user can put right; the text says how."""


@dataclass(frozen=True)
class Item:
    """Something to move: a file or a directory."""

    path: Path
    title: str
    description: str


@dataclass(frozen=True)
class Moved:
    """An item that made the whole way."""

    item: Item
    up: UploadResult
    down: DownloadResult
    up_s: float
    down_s: float


def say(text: str = "") -> None:
    print(text, flush=True)


# ── Files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def penguins() -> list[Item]:
    """The Palmer penguins tables: raw as measured, and tidied. Fetched from PyPI once, without what it depends on."""
    package = WORK / "packages" / "palmerpenguins" / "data"
    if not package.is_dir():
        say(f"fetching {PENGUINS} from PyPI …")
        command = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-deps"]
        command += ["--no-compile", "--upgrade", "--target", str(WORK / "packages"), PENGUINS]
        done = subprocess.run(command, capture_output=True, text=True, check=False)
        if done.returncode or not package.is_dir():
            sys.stderr.write(done.stderr)
            raise Problem(f"could not fetch {PENGUINS} from PyPI; check the network, or name a file: ./quickstart PATH")
    source = "Palmer Station LTER and K. Gorman; doi:10.1371/journal.pone.0090081"
    return [
        Item(package / "penguins-raw.csv", "Palmer penguins, raw", f"As measured. {source}"),
        Item(package / "penguins.csv", "Palmer penguins", f"Tidied. {source}"),
    ]


def generated() -> Item:
    """A file of 256 MiB in which every MiB differs, kept for the next run."""
    path = WORK / "data" / "generated-256MiB.bin"
    if not path.exists() or path.stat().st_size != GENERATED_BYTES:
        path.parent.mkdir(parents=True, exist_ok=True)
        block, scratch = bytearray(secrets.token_bytes(MIB)), path.with_suffix(".new")
        with scratch.open("wb") as file:
            for number in range(GENERATED_BYTES // MIB):
                block[:8] = number.to_bytes(8, "big")
                file.write(block)
        scratch.replace(path)
    return Item(path, "Generated data", "256 MiB of random bytes.")


def given(text: str) -> list[Item]:
    """What the user named, and a listing of it: a small result that was derived from it."""
    path = Path(text).expanduser().resolve()
    if not text or not path.exists():
        raise Problem(f"there is no file or directory {path if text else repr(text)}")
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    if not files:
        raise Problem(f"{path} holds no files")
    if unreadable := [p for p in files if not os.access(p, os.R_OK)]:
        raise Problem(f"{unreadable[0]} is not readable for you")
    listing = WORK / "data" / "listing.csv"
    listing.parent.mkdir(parents=True, exist_ok=True)
    with listing.open("w", newline="", encoding="utf-8", errors="surrogateescape") as file:
        rows = csv.writer(file)
        rows.writerow(("path", "size_bytes"))
        rows.writerows((p.relative_to(path) if path.is_dir() else p.name, p.stat().st_size) for p in files)
    return [
        Item(path, path.name or str(path), f"Uploaded by ./quickstart from {path}."),
        Item(listing, f"Listing of {path.name}", "Names and sizes."),
    ]


def require_space(items: list[Item]) -> None:
    """Two copies are made: at the embedded hub, and where the download goes."""
    needed = 2 * sum(size_of(item.path) for item in items) + 64 * MIB
    free = shutil.disk_usage(WORK).free
    if free < needed:
        raise Problem(f"{WORK} needs {human(needed)} of free disk and has {human(free)}")


def size_of(path: Path) -> int:
    return sum(p.stat().st_size for p in path.rglob("*") if p.is_file()) if path.is_dir() else path.stat().st_size


# ── The daemon's home ────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def own_daemon() -> Iterator[Client]:
    """A client of a daemon of our own, started by the first call and stopped at the end."""
    for name in [name for name in os.environ if name.startswith("FERRYMAN_")]:
        del os.environ[name]
    state, runtime, scratch = WORK / "state", WORK / "run", None
    if len(os.fsencode(runtime)) > LONGEST_RUNTIME_DIR:
        scratch = tempfile.TemporaryDirectory(prefix="ferry-")
        runtime = Path(scratch.name)
    homes = {"STATE": state, "CONFIG": WORK / "config", "RUNTIME": runtime}
    os.environ.update({f"FERRYMAN_{kind}_DIR": str(path) for kind, path in homes.items()})
    stop_daemon(state)  # one that an interrupted run left
    shutil.rmtree(state, ignore_errors=True)
    for path in homes.values():
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        with Client(binary_path=Path(sys.executable).with_name("ferryd"), start_timeout_s=60) as client:
            yield client
    finally:
        stop_daemon(state)
        if scratch:
            scratch.cleanup()


def stop_daemon(state: Path) -> None:
    """Stop the daemon of this home, if one runs, and wait until it has let go of its lock."""
    with suppress(DaemonError), Client(auto_start=False) as client:
        client.daemon.shutdown()
    with suppress(FileNotFoundError), (state / "daemon.lock").open() as lock:
        hold(lock, STOP_TIMEOUT_S, f"the daemon of an earlier run does not end; see {state / 'daemon.log'}")


def hold(lock: IO[str], timeout_s: float, problem: str) -> None:
    """Take a file's lock, which is let go when it is closed."""
    deadline = time.monotonic() + timeout_s
    while True:
        try:
            return fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() > deadline:
                raise Problem(problem) from None
            time.sleep(0.05)


# ── Showing progress ─────────────────────────────────────────────────────────────────────────────────────────────────


@contextmanager
def progress(what: str) -> Iterator[Callable[[ProgressEvent], None]]:
    """A live bar on a terminal; a line every two seconds anywhere else."""
    live, shown_at = sys.stderr.isatty(), time.monotonic()

    def show(event: ProgressEvent) -> None:
        nonlocal shown_at
        if live:
            done = int(event.percent / 100 * 30)
            text = f"  {what:<9} [{'█' * done}{'·' * (30 - done)}] {line(event)}"
            sys.stderr.write(f"\r{text[: shutil.get_terminal_size().columns - 1]}\x1b[K")
        elif time.monotonic() - shown_at >= LINE_EVERY_S or event.percent == 100:
            shown_at = time.monotonic()
            sys.stderr.write(f"  {what:<9} {line(event)}\n")
        sys.stderr.flush()

    try:
        yield show
    finally:
        if live:
            sys.stderr.write("\n")


def line(event: ProgressEvent) -> str:
    """Where a transfer is, in one line."""
    parts = f"part {event.chunk_index} of {event.chunk_count}"
    return (
        f"{event.percent:5.1f} %  {human(event.bytes_done)} of {human(event.bytes_total)}  {parts}  {event.file_name}"
    )


def human(size_bytes: float) -> str:
    """A size for people."""
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size_bytes < 1024 or unit == "GiB":
            return f"{size_bytes:.0f} {unit}" if unit == "B" else f"{size_bytes:.1f} {unit}"
        size_bytes /= 1024
    raise AssertionError


# ── The main job ─────────────────────────────────────────────────────────────────────────────────────────────────────


def move(client: Client, item: Item, project_id: str, into: Path) -> Moved:
    """Upload an item, download it into a fresh directory and compare every byte."""
    say(f"\n{item.title}: {item.path}")
    start = time.monotonic()
    with progress("upload") as show:
        up = client.upload(
            item.path,
            title=item.title,
            description=item.description,
            owner_type="project",
            owner_id=project_id,
            on_progress=show,
        )
    middle = time.monotonic()
    with progress("download") as show:
        down = client.download(up.asset_id, dest_dir=into, on_progress=show)
    end = time.monotonic()
    compare(item.path, down)
    say(f"  compared  {len(down.files)} file{'s' if len(down.files) != 1 else ''}, every byte equal")
    return Moved(item, up, down, middle - start, end - middle)


def compare(source: Path, down: DownloadResult) -> None:
    """Every downloaded file against its source, byte for byte, and no file missing."""
    expected = {p for p in source.rglob("*") if p.is_file()} if source.is_dir() else {source}
    for file in down.files:
        original = source / file.path if source.is_dir() else source
        if not same(original, Path(file.local_path)):
            raise Problem(f"{file.local_path} differs from {original}: please report this")
        expected.discard(original)
    if expected:
        raise Problem(f"{sorted(expected)[0]} did not come back: please report this")


def same(one: Path, other: Path) -> bool:
    with one.open("rb") as left, other.open("rb") as right:
        while piece := left.read(MIB):
            if piece != right.read(MIB):
                return False
        return not right.read(1)


def describe_and_link(client: Client, origin: Moved, derived: Moved) -> None:
    """Metadata on both, and the provenance link between them; then read both back."""
    for moved in (origin, derived):
        client.set_metadata(
            moved.up.asset_id,
            tags=["quickstart"],
            metadata={"host": os.uname().nodename, **checksums(moved.item.path)},
        )
    client.create_relationship(derived.up.asset_id, origin.up.asset_id, "derived_from", analysis_mode="non_destructive")
    say(f"\nmetadata of {origin.up.asset_id}")
    known = client.get_metadata(origin.up.asset_id)
    say(f"  title     {known.title}\n  tags      {', '.join(known.tags)}\n  metadata  {known.metadata}")
    lineage = client.relationships.lineage(derived.up.asset_id)
    say(f"lineage of {derived.up.asset_id}")
    for asset in lineage.assets:
        say(f"  {'  ' * asset.depth}{'← ' if asset.depth else ''}{asset.title}  ({asset.asset_id})")


def checksums(path: Path) -> dict[str, str]:
    """The SHA-256 of a file that is small enough to be quick."""
    small = path.is_file() and path.stat().st_size < 16 * MIB
    return {"sha256": hashlib.sha256(path.read_bytes()).hexdigest()} if small else {}


def rate(size_bytes: int, seconds: float) -> str:
    """MB/s; a small file has none worth the name, it only waits."""
    return f"{size_bytes / 1e6 / seconds:.1f}" if size_bytes >= MIB else "–"


def summary(client: Client, everything: list[Moved], into: Path, project_id: str) -> None:
    """What was moved, how fast, and where it is."""
    rows = [("", "size", "up MB/s", "down MB/s", "asset", "digest")]
    for moved in everything:
        size = moved.up.size_bytes
        up, down = (rate(size, seconds) for seconds in (moved.up_s, moved.down_s))
        rows.append((moved.item.title[:32], human(size), up, down, moved.up.asset_id, moved.up.digest))
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    say()
    for row in rows:
        say("  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip())
    info = client.daemon.info()
    say(f"\nproject    {project_id}\ndownloads  {into}\nhub        {info.hub}, {info.state_dir}")
    say("All bytes came back equal. MB/s count the whole call, with hashing, syncing and verification.")


def run(path: str | None) -> None:
    """The whole story, once at a time in this folder."""
    WORK.mkdir(exist_ok=True)
    with (WORK / "lock").open("w") as lock:
        hold(lock, 0, "another ./quickstart runs in this folder; wait until it has ended")
        tell(path)


def tell(path: str | None) -> None:
    """Move everything, describe it, and sum up."""
    items = [*penguins(), generated()] if path is None else given(path)
    require_space(items)
    into = WORK / "downloads"
    shutil.rmtree(into, ignore_errors=True)
    with own_daemon() as client:
        who = client.auth_status()
        project = client.create_project("Quick start", description="Made by ./quickstart")
        say(f"signed in as {who.user_email} at the {who.hub} hub; project {project.project_id}")
        moved = [move(client, item, project.project_id, into / str(n)) for n, item in enumerate(items, 1)]
        describe_and_link(client, moved[0], moved[1])
        summary(client, moved, into, project.project_id)


def main(arguments: list[str]) -> int:
    """Parse, run, and turn what can go wrong into a sentence and an exit status."""
    parser = argparse.ArgumentParser(prog="quickstart", description="Move real files to the hub and back, and compare.")
    parser.add_argument("path", nargs="?", help="a file or directory of yours; default: penguins and 256 MiB")
    options = parser.parse_args(arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a terminal that knows no █ is no reason to fail
    try:
        run(options.path)
    except Problem as problem:
        sys.stderr.write(f"quickstart: {problem}\n")
        return 2
    except DaemonError as error:
        sys.stderr.write(f"quickstart: {error}\nThe daemon's log is in {WORK / 'state'}.\n")
        return 1
    except KeyboardInterrupt:
        sys.stderr.write("\nquickstart: interrupted; nothing keeps running\n")
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
