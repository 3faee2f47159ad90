"""`ferry search`: assets by the words that describe them. Not an upload step.

Reads every asset the caller can see, a page at a time, and keeps those that hold all words; prints each as it is found.
No index is involved: the cost is that of a listing.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from ferryman.cli import owners
from ferryman.cli.assets import Limit, tell
from ferryman.cli.session import new_app, session_of

if TYPE_CHECKING:
    from ferryman.types import AssetMetadata

app = new_app("Find assets by the words that describe them.")

_PAGE = 1_000


@app.command()
def search(
    context: typer.Context,
    words: Annotated[list[str], typer.Argument(metavar="WORD", help="All of them must be there, in any case.")],
    project: Annotated[
        str | None, typer.Option("--project", "-p", metavar="PROJECT", help="In this project: id, alias or name.")
    ] = None,
    limit: Limit = 50,
) -> None:
    """Find the assets whose title, description, alias, tags or metadata hold all words, newest first."""
    session = session_of(context)
    with session.client() as client:
        owner = None if project is None else owners.find(client, project)
        assets = client.assets.list(project=owner, page_size=_PAGE)
        found = list(islice(_matching(assets, words), limit))
    tell(session, found, "No asset has all of these words.")
    if not session.out.json and len(found) == limit:
        session.out.say(f"These are the newest {limit}; there may be more: --limit")


def _matching(assets: Iterable[AssetMetadata], words: Sequence[str]) -> Iterator[AssetMetadata]:
    wanted = [word.casefold() for word in words]
    return (asset for asset in assets if holds(asset, wanted))


def holds(asset: AssetMetadata, wanted: Sequence[str]) -> bool:
    """Whether all words, given in folded case, stand somewhere in what describes the asset."""
    described = (asset.title, asset.description, asset.alias or "", *asset.tags, *_leaves(asset.metadata))
    text = "\n".join(described).casefold()
    return all(word in text for word in wanted)


def _leaves(value: object) -> Iterator[str]:
    """The keys and values of metadata, however deep, as text."""
    if isinstance(value, dict):
        for key, inner in value.items():
            yield str(key)
            yield from _leaves(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _leaves(inner)
    else:
        yield value if isinstance(value, str) else json.dumps(value)
