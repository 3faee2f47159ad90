"""How transfers ended: the summary with asset id and digest, or the error, and the exit code."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from ferryman.cli import describe, faults, table, units
from ferryman.cli.exits import Exit, code_for, code_for_all
from ferryman.cli.session import Session
from ferryman.errors import DaemonError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.progress import TransferFile, TransferInfo


def tell(session: Session, client: Client, infos: Sequence[TransferInfo], *, note: str = "") -> Exit:
    """Print how each transfer ended; returns the exit code for all. `note` goes into a successful upload's summary."""
    return code_for_all([_tell_one(session, client, info, note) for info in infos])


def _tell_one(session: Session, client: Client, info: TransferInfo, note: str) -> Exit:
    if info.state != "succeeded":
        return _failed(session, info)
    if info.kind == "upload":
        _uploaded(session, info, note)
    else:
        _downloaded(session, info, list(client.transfers.get(info.transfer_id).files()))
    return Exit.OK


def _failed(session: Session, info: TransferInfo) -> Exit:
    if info.state == "cancelled":
        error = DaemonError("cancelled", f"transfer {info.transfer_id} was cancelled", reason="CANCELLED")
    else:
        error = info.error or DaemonError("internal", f"transfer {info.transfer_id} failed without saying why")
    code = code_for(error)
    fault = faults.explain(error)
    session.out.event("error", {**fault.data, "transfer_id": info.transfer_id})
    said = str(fault)
    if info.state != "cancelled" and _may_be_retried(error):
        said += f"{' Then' if said.endswith('.') else '; then'}: ferry retry {info.transfer_id}"
    session.out.warn(units.clean(f"{describe.name(info)}: {said}"))
    return code


def _may_be_retried(error: DaemonError) -> bool:
    """Whether the same transfer may succeed later: not one that asks for the wrong thing, or of a file that changed."""
    return code_for(error) not in (Exit.USAGE, Exit.NOT_FOUND) and error.reason not in ("ALIAS_TAKEN", "SOURCE_CHANGED")


def _uploaded(session: Session, info: TransferInfo, note: str) -> None:
    data = {
        "transfer_id": info.transfer_id,
        "asset_id": info.asset_id,
        "content_id": info.content_id,
        "digest": info.digest,
        "title": info.title,
        "size_bytes": info.size_bytes,
        "file_count": info.file_count,
        "resent_bytes": info.resent_bytes,
        "present_file_count": info.present_file_count,
        "seconds": _seconds(info),
    }
    there = f"; {describe.present(info)}" if info.present_file_count else ""
    session.out.say(f"Uploaded {describe.name(info)}: {_amount(info)}{there}{note}")
    if session.out.quiet and not session.out.json:
        session.out.result("uploaded", data, info.asset_id or "")
        return
    rows = [("asset", info.asset_id or ""), ("version", info.content_id or ""), ("digest", info.digest or "")]
    session.out.result("uploaded", data, table.pairs(rows))


def _downloaded(session: Session, info: TransferInfo, files: Sequence[TransferFile]) -> None:
    data: dict[str, Any] = {
        "transfer_id": info.transfer_id,
        "asset_id": info.asset_id,
        "content_id": info.content_id,
        "digest": info.digest,
        "directory": info.local_path,
        "size_bytes": info.size_bytes,
        "seconds": _seconds(info),
        "files": [
            {"path": f.path, "local_path": f.local_path, "size_bytes": f.size_bytes, "digest": f.digest}
            | {"skipped": f.skipped}
            for f in files
        ],
    }
    session.out.say(f"Downloaded {describe.name(info)}: {_amount(info)}{_skipped(files)}")
    session.out.result("downloaded", data, [units.clean(file.local_path) for file in files])


def _skipped(files: Sequence[TransferFile]) -> str:
    there = sum(file.skipped and bool(file.digest) for file in files)
    left = sum(file.skipped and not file.digest for file in files)
    already = f"; already there {there:,} of {units.count(len(files), 'file')}" if there else ""
    return already + (f"; {units.count(left, 'file')} left as found, whatever they hold" if left else "")


def _amount(info: TransferInfo) -> str:
    files = units.count(info.file_count, "file")
    seconds = _seconds(info)
    took = f", {units.duration(seconds)}" if seconds and seconds >= 1 else ""
    mean = f", {units.rate(info.size_bytes / seconds)}" if seconds and seconds >= 1 else ""
    resent = f", {units.size(info.resent_bytes)} sent again" if info.resent_bytes else ""
    return f"{units.size(info.size_bytes)} in {files}{took}{mean}{resent}"


def _seconds(info: TransferInfo) -> float | None:
    """From its creation to its end, pauses included."""
    if info.created_at is None or info.ended_at is None:
        return None
    return (info.ended_at - info.created_at).total_seconds()
