"""`bench/scale.py` runs, small; and what it fills is a catalogue as the hub makes it."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import URL, create_engine, inspect
from sqlalchemy.pool import NullPool
from sqlalchemy.schema import CreateTable

from ferryhub.catalogue.account_tables import metadata
from ferryhub.catalogue.database import Database, sqlite_url
from ferryhub.catalogue.schema import bring_up
from tests.architecture.sources import ROOT
from tests.support.postgres import Postgres

pytestmark = pytest.mark.slow


def test_it_measures_and_draws(tmp_path: Path) -> None:
    """Whether a bar is met depends on the machine, so only what is printed is looked at."""
    words: list[str | Path] = ["--sizes", "1e3", "--rounds", "0.05", "--databases", "sqlite"]
    draws = importlib.util.find_spec("matplotlib") is not None  # one of the extra `bench`, which not everybody has
    words += ["--draw", tmp_path] if draws else []
    env = {**os.environ, "BENCH_RESULTS": str(tmp_path)}
    done = subprocess.run(
        [sys.executable, ROOT / "bench" / "scale.py", *words], capture_output=True, text=True, env=env
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "sqlite 1e3: commit, processor" in done.stdout
    page = json.loads((tmp_path / "scale.json").read_text())
    assert all(figure["value"] > 0 for figure in page["figures"])
    assert len(list(tmp_path.glob("scale-*.png"))) == (3 if draws else 0)


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
async def test_filling_leaves_the_schema_as_it_is(
    kind: str, tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ROOT / "bench")
    from scaling.fill import fill
    from scaling.world import World

    if kind == "sqlite":
        plain_one, filled = sqlite_url(tmp_path / "plain.db"), sqlite_url(tmp_path / "filled.db")
        database = Database(plain_one)
        await database.write(bring_up)
        await database.close()
    else:
        postgres: Postgres = request.getfixturevalue("postgres")
        plain_one, filled = postgres.new_database(), postgres.new_database(empty=True)
    made_by = [str(CreateTable(table)) for table in metadata.sorted_tables]
    fill(filled, World(1000), lambda _: None)
    assert _shape(filled) == _shape(plain_one)
    assert [str(CreateTable(table)) for table in metadata.sorted_tables] == made_by, "nor does it change what is next"
    engine = create_engine(filled, poolclass=NullPool)
    with engine.connect() as conn:
        assert conn.exec_driver_sql("SELECT count(*) FROM assets").scalar() == 1000
        assert conn.exec_driver_sql("SELECT count(*) FROM relationships").scalar_one() > 4000
    engine.dispose()


def _shape(url: URL) -> dict[str, object]:
    """Every table with its columns, keys and indexes, however they are ordered."""
    engine = create_engine(url, poolclass=NullPool)
    look = inspect(engine)
    shape: dict[str, object] = {}
    for table in look.get_table_names():
        parts: list[Any] = [look.get_columns, look.get_indexes, look.get_foreign_keys, look.get_unique_constraints]
        said = [sorted(map(_said, part(table))) for part in (*parts, look.get_check_constraints)]
        shape[table] = [*said, str(look.get_pk_constraint(table))]
    engine.dispose()
    return shape


def _said(part: Any) -> str:
    # The condition of a partial index has no text of its own.
    options = {name: str(value) for name, value in part.get("dialect_options", {}).items()}
    return str({**part, "dialect_options": options})
