"""A new release's migration only adds, so that hubs of the release before serve on: `docs/adr/0009`."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import sqlalchemy as sa
from alembic import op
from alembic.config import Config
from alembic.script import ScriptDirectory

from ferryhub.catalogue import schema
from tests.architecture import migrations
from tests.architecture.sources import ROOT

BEFORE = migrations.BEFORE_RELEASES
#: The revisions after it, as those that ship in releases will be.
FIRST, SECOND = (f"{int(BEFORE) + number:04}" for number in (1, 2))


def _revisions() -> list[Any]:
    config = Config()
    config.set_main_option("script_location", str(schema.MIGRATIONS))
    return [each.module for each in ScriptDirectory.from_config(config).walk_revisions()][::-1]


def test_our_revisions_keep_the_rule() -> None:
    version = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    assert list(migrations.broken(_revisions(), schema.LEAST_HEAD, version)) == []


def test_revisions_are_in_order_of_their_names() -> None:
    """Hubs compare them as text."""
    names = [each.revision for each in _revisions()]
    assert names == sorted(names)
    assert {len(name) for name in names} == {4}
    assert migrations.BEFORE_RELEASES <= schema.LEAST_HEAD <= schema.HEAD == names[-1]


def _add(**how: Any) -> Callable[[], None]:
    return lambda: op.add_column("assets", sa.Column("note", sa.Text(), **how))


def _new_table() -> None:
    op.create_table("notes", sa.Column("id", sa.Text(), sa.ForeignKey("assets.id"), nullable=False))
    op.create_index("ix_notes_id", "notes", ["id"], unique=True)
    op.alter_column("notes", "id", nullable=False)


EXPANDS = {
    "a table with its index": _new_table,
    "a column that may be empty": _add(nullable=True),
    "a column with a default": _add(nullable=False, server_default=""),
    "an index that may be there": lambda: op.create_index("ix_a", "assets", ["id"], if_not_exists=True),
    "a default": lambda: op.alter_column("assets", "title", server_default=""),
    "a column that may be empty now": lambda: op.alter_column("assets", "title", nullable=True),
}
CONTRACTS = {
    "a column goes": lambda: op.drop_column("assets", "title"),
    "a table goes": lambda: op.drop_table("assets"),
    "an index goes": lambda: op.drop_index("ix_assets_title", "assets"),
    "a column gets another name": lambda: op.alter_column("assets", "title", new_column_name="name"),
    "a table gets another name": lambda: op.rename_table("assets", "things"),
    "a column gets another type": lambda: op.alter_column("assets", "title", type_=sa.Integer()),
    "a column that old hubs do not fill": _add(nullable=False),
    "a column must not be empty any more": lambda: op.alter_column("assets", "title", nullable=False),
    "a column loses its default": lambda: op.alter_column("assets", "title", server_default=None),
    "a column of one value each": _add(nullable=True, unique=True),
    "a constraint": lambda: op.create_check_constraint("c", "assets", "title <> ''"),
    "one value each": lambda: op.create_index("uq_a", "assets", ["title"], unique=True, if_not_exists=True),
    "an index that nobody could make before": lambda: op.create_index("ix_a", "assets", ["title"]),
    "rows that old hubs wrote": lambda: op.execute("UPDATE assets SET title = ''"),
}


def _revision(upgrade: Callable[[], None], name: str = SECOND, **said: str) -> Any:
    return SimpleNamespace(revision=name, upgrade=upgrade, **{"release": "0.3", **said})


@pytest.mark.parametrize("what", EXPANDS)
def test_what_only_adds_is_allowed(what: str) -> None:
    assert list(migrations.broken([_revision(EXPANDS[what])], BEFORE, "0.3")) == []


@pytest.mark.parametrize("what", CONTRACTS)
def test_what_takes_away_is_caught(what: str) -> None:
    [wrong] = migrations.broken([_revision(CONTRACTS[what])], BEFORE, "0.3")
    assert "unused_since" in wrong


def test_what_is_unused_since_a_release_before_may_go() -> None:
    unused = _revision(lambda: None, FIRST, release="0.2")
    goes = _revision(CONTRACTS["a column goes"], unused_since=FIRST)
    assert list(migrations.broken([unused, goes], FIRST, "0.3")) == []
    [wrong] = migrations.broken([unused, goes], BEFORE, "0.3")
    assert f"LEAST_HEAD must be at least {FIRST}" in wrong
    for same in (_revision(lambda: None, FIRST, release="0.3"), _revision(lambda: None, BEFORE)):
        assert list(migrations.broken([same, goes], FIRST, "0.3")) != []


@pytest.mark.parametrize("release", [{"release": None}, {"release": "0.10"}])
def test_a_revision_says_which_release_has_it_first(release: dict[str, Any]) -> None:
    [wrong] = migrations.broken([_revision(lambda: None, **release)], BEFORE, "0.9")
    assert "`release` must be" in wrong
