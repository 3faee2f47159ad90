"""`ferry upload`: files and directories as one asset. Upload step 1, typed by a person."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ferryman.cli import fields, outcomes, owners, selection, units, waiting
from ferryman.cli.exits import Exit
from ferryman.cli.faults import Problem
from ferryman.cli.session import Session, among, new_app, session_of
from ferryman.errors import DaemonError
from ferrywire.patterns import EVERYTHING, Selection
from ferrywire.patterns import selection as selection_of
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    from ferryman.client import Client
    from ferryman.handles import Transfer
    from ferryman.progress import UploadResult
    from ferryman.types import AssetMetadata

app = new_app("Upload files and directories.")

_EXISTING = ("fail", "version", "skip")


def _option(*names: str, help: str, metavar: str | None = None) -> Any:  # noqa: A002 - typer's word
    return typer.Option(*names, help=help, metavar=metavar or names[0].strip("-").upper())


@dataclass
class _Wish:
    """What was asked for, beside the paths."""

    title: str
    owner: tuple[str | None, bool]
    about: dict[str, Any] = field(default_factory=dict)
    alias: str | None = None
    if_exists: str = "fail"
    derived_from: list[str] = field(default_factory=list)
    how: dict[str, Any] = field(default_factory=dict)
    patterns: Selection = EVERYTHING


@app.command()
def upload(
    context: typer.Context,
    paths: Annotated[list[str], typer.Argument(metavar="PATH", help="Files, directories, quoted globs.")],
    title: Annotated[
        str | None, _option("--title", "-t", help="What people call it [default: the path's name].")
    ] = None,
    project: Annotated[
        str | None, _option("--project", "-p", help="Its project: id, alias or name [default: you].")
    ] = None,
    create_project: Annotated[bool, _option("--create-project", help="Make the project if there is none.")] = False,
    collection: Annotated[str | None, _option("--collection", "-c", help="The folder it goes in: id or alias.")] = None,
    description: Annotated[str | None, _option("--description", help="What it is.")] = None,
    alias: Annotated[str | None, _option("--alias", help="A unique short name for it.")] = None,
    tags: Annotated[list[str] | None, _option("--tag", help="A word to find it by; repeatable.")] = None,
    meta: Annotated[
        list[str] | None, _option("--meta", "-m", metavar="KEY=VALUE", help="Metadata; repeatable.")
    ] = None,
    meta_file: Annotated[str | None, _option("--meta-file", metavar="FILE", help="Metadata: a JSON object.")] = None,
    derived_from: Annotated[
        list[str] | None, _option("--derived-from", metavar="ASSET", help="What it was made from.")
    ] = None,
    if_exists: Annotated[
        str,
        typer.Option(
            "--if-exists", metavar="fail|version|skip", autocompletion=among(*_EXISTING), help="If --alias is taken."
        ),
    ] = "fail",
    include: Annotated[
        list[str] | None, _option("--include", metavar="PATTERN", help="Only these (as .gitignore).")
    ] = None,
    exclude: Annotated[list[str] | None, _option("--exclude", metavar="PATTERN", help="All but these.")] = None,
    dry_run: Annotated[bool, _option("--dry-run", help="Show what would be sent, and send nothing.")] = False,
    priority: Annotated[int, typer.Option("--priority", metavar="N", min=-100, max=100, help="Higher goes first.")] = 0,
    chunk_size_mb: Annotated[
        int | None, typer.Option("--chunk-size-mb", metavar="MIB", min=1, max=5_120, help="Size of a part.")
    ] = None,
) -> None:
    """Upload files and directories as one asset, and wait until it is stored and verified.

    Without --project it goes into your own space. --if-exists says what to do when an asset has the --alias already:
    fail, add a version to it, or skip and send nothing. Titles need not be unique.
    """
    session = session_of(context)
    chosen = selection.expand(paths)
    about = {"description": description, "tags": tags, "metadata": fields.gather(meta, meta_file) or None}
    wish = _Wish(
        title=title or default_title(paths, chosen),
        owner=(project, create_project),
        about={**about, "collection_id": collection},
        alias=alias,
        if_exists=if_exists,
        derived_from=derived_from or [],
        how={"priority": priority, "chunk_size_mb": chunk_size_mb, "include": include, "exclude": exclude},
        patterns=_patterns(include or [], exclude or []),
    )
    _check(wish, detach=session.settings.detach)
    if dry_run:
        _plan(session, chosen, wish)
        return
    with session.client() as client:
        raise typer.Exit(_upload(session, client, chosen, wish))


def default_title(given: list[str], chosen: list[str]) -> str:
    """A title from the paths: the name of one, or of the first with the number of the others."""
    names = [Path(path).resolve().name if path in (".", "..") else Path(path).name for path in given]
    first = names[0] if len(given) == 1 and Path(given[0]).exists() else Path(chosen[0]).name
    others = 0 if first == names[0] and len(given) == 1 else len(chosen) - 1
    return f"{first} and {others} more" if others else first or "/"


def _check(wish: _Wish, *, detach: bool) -> None:
    if wish.if_exists not in _EXISTING:
        raise Problem(f"--if-exists is {wish.if_exists!r}", "Use fail, version or skip.")
    if wish.if_exists != "fail" and not wish.alias:
        raise Problem("--if-exists needs --alias: titles are not unique", "Pass --alias NAME too.")
    if wish.derived_from and detach:
        raise Problem(
            "--derived-from links the asset once it is stored", "Leave out --detach, or use ferry link create."
        )


def _patterns(include: list[str], exclude: list[str]) -> Selection:
    try:
        return selection_of(include, exclude)
    except FerryError as error:
        raise Problem(f"--{error.message}") from None


def _plan(session: Session, chosen: list[str], wish: _Wish) -> None:
    found = sorted(selection.files(chosen, wish.patterns), key=lambda file: file.path)
    if not found:
        raise Problem("there is nothing to upload", "Name files, or a directory with files that the patterns leave.")
    total = sum(file.size_bytes for file in found)
    data = {"title": wish.title, "size_bytes": total, "file_count": len(found), "files": found}
    session.out.result("plan", data, [f"{units.size(f.size_bytes):>10}  {units.clean(f.path)}" for f in found])
    session.out.say(
        f"Would upload {units.clean(wish.title)}: {units.size(total)} in {units.count(len(found), 'file')}. "
        "Nothing was sent."
    )


def _upload(session: Session, client: Client, chosen: list[str], wish: _Wish) -> Exit:
    origins = [client.get_metadata(origin).asset_id for origin in wish.derived_from]
    known = _known(client, wish.alias)
    if known is not None and wish.if_exists == "skip":
        session.out.say(f"{wish.alias} is there already; nothing was sent.")
        session.out.result("asset", known, known.asset_id)
        return Exit.OK
    with session.queueing():
        transfer = _start(session, client, chosen, wish, known)
    if session.settings.detach:
        session.out.say(f"The upload goes on in the background. Look at it: ferry watch {transfer.id}")
        session.out.result("queued", {"transfer_id": transfer.id, "title": wish.title}, transfer.id)
        return Exit.OK
    after = "".join(f"Link it then: ferry link create ASSET {one} derived_from" for one in origins[:1])
    (info,) = waiting.wait(session, client, [transfer.id], after)
    same = known is not None and info.content_id == known.latest_content_id
    code = outcomes.tell(session, client, [info], note="; the bytes are those of the newest version" if same else "")
    if code is Exit.OK and info.asset_id:
        for origin in origins:
            client.create_relationship(info.asset_id, origin, "derived_from")
    return code


def _known(client: Client, alias: str | None) -> AssetMetadata | None:
    """The asset that has the alias, if there is one that you can see."""
    if not alias:
        return None
    try:
        return client.get_metadata(alias)
    except DaemonError as error:
        if error.code != "not_found":
            raise
        return None


def _start(
    session: Session, client: Client, chosen: list[str], wish: _Wish, known: AssetMetadata | None
) -> Transfer[UploadResult]:
    if known is None:
        owner_type, owner_id = owners.owner(client, wish.owner[0], create=wish.owner[1])
        about = {**wish.about, "title": wish.title, "alias": wish.alias, "owner_type": owner_type, "owner_id": owner_id}
        return client.transfers.upload(chosen, **about, **wish.how)
    if wish.if_exists == "fail":
        raise DaemonError(
            "already_exists", f"the alias {wish.alias!r} is taken by {known.asset_id}", reason="ALIAS_TAKEN"
        )
    if any(value is not None for value in wish.about.values()):
        session.out.say(
            f"A version of {known.asset_id}: its tags, metadata and place stay. Change them: ferry meta set"
        )
    return client.transfers.upload(chosen, asset=known, **wish.how)
