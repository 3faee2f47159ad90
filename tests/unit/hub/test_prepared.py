"""A prepared statement answers as SQLAlchemy does: the same values under the same names, and the same refusals."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import Connection, Row, bindparam, select

from ferryhub.catalogue import access, assets
from ferryhub.catalogue import tables as t
from ferryhub.catalogue.access import Noun
from ferryhub.catalogue.actor import Actor
from ferryhub.catalogue.prepared import Prepared
from ferryhub.rpc import convert
from tests.unit.hub.conftest import Catalogue, fails

_KNOWN = {"instrument": "SEM 3", "runs": [1, 2.5, None, {"x": True}], "empty": {}}


def _both(conn: Connection, prepared: Prepared, values: dict[str, Any]) -> tuple[Any, Row[Any]]:
    return prepared.first(conn, values), conn.execute(prepared.statement, values).one()


@pytest.mark.parametrize("noun", ["project", "collection", "asset"])
async def test_rows_are_the_same(catalogue: Catalogue, ann: Actor, noun: Noun) -> None:
    project = await catalogue.project(ann)
    asset = await catalogue.asset(ann, project, alias="one", tags=["a"], metadata=_KNOWN)
    ids = {"project": project.id, "collection": project.root_collection_id, "asset": asset.id}
    ours, theirs = await catalogue.do(_both, access._BY_ID[noun], {"key": ids[noun], "me": ann.principal_id})
    assert {name: getattr(ours, name) for name in theirs._fields} == theirs._asdict()
    assert tuple(ours) == tuple(theirs)


async def test_messages_are_the_same(catalogue: Catalogue, ann: Actor) -> None:
    asset = await catalogue.asset(ann, await catalogue.project(ann), alias="one", tags=["a"], metadata=_KNOWN)
    values = {"key": asset.id, "me": ann.principal_id}
    ours, theirs = await catalogue.do(_both, access._BY_ID["asset"], values)
    made = convert.asset(ours)
    assert made == convert.asset(theirs)
    assert convert.plain(made.metadata) == _KNOWN
    assert made.create_time.ToMicroseconds() == asset.created_at


async def test_nothing_known_is_a_message_that_is_there(catalogue: Catalogue, ann: Actor) -> None:
    asset = await catalogue.asset(ann, await catalogue.project(ann))
    assert convert.asset(await catalogue.do(assets.get, ann, asset.id)).HasField("metadata")


async def test_nothing_found(catalogue: Catalogue) -> None:
    prepared = Prepared(select(t.settings).where(t.settings.c.key == bindparam("key")))
    assert await catalogue.do(prepared.first, {"key": "nobody's"}) is None


async def test_what_no_database_takes_is_refused(catalogue: Catalogue) -> None:
    prepared = Prepared(select(t.settings).where(t.settings.c.key == bindparam("key")))
    with fails("INVALID_ARGUMENT"):
        await catalogue.do(prepared.first, {"key": "a\0b"})


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_values_that_need_sqlalchemy_are_not_for_it(catalogue: Catalogue) -> None:
    prepared = Prepared(select(t.principals.c.disabled))
    with pytest.raises(AssertionError):
        await catalogue.do(prepared.first, {})
