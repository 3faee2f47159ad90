"""The rule of `docs/adr/0009`: what a revision of the catalogue may do while hubs of the release before serve on.

It looks at the SQL that a revision gives for PostgreSQL, so that helpers, batches and `op.execute` are seen through.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any, Final

from alembic.migration import MigrationContext
from alembic.operations import Operations

#: Revisions up to this one were made before there was a release.
BEFORE_RELEASES: Final = "0007"

_NAME: Final = r'"?(\w+)"?'
_CREATE_TABLE: Final = re.compile(rf"CREATE TABLE {_NAME}")
_CREATE_INDEX: Final = re.compile(rf"CREATE (?P<unique>UNIQUE )?INDEX (?P<twice>IF NOT EXISTS )?\w+ ON {_NAME}")
_ALTER: Final = re.compile(rf"ALTER TABLE {_NAME} (?P<what>.*)", re.DOTALL)
_ADD_COLUMN: Final = re.compile(r"ADD COLUMN (?P<column>.*)", re.DOTALL)
#: What an old hub does not notice.
_LOOSER: Final = re.compile(r"ALTER COLUMN \S+ (SET DEFAULT|DROP NOT NULL)\b")


def statements(revision: Any) -> list[str]:
    """The SQL of a revision."""
    written = io.StringIO()
    context = MigrationContext.configure(
        dialect_name="postgresql", opts={"as_sql": True, "output_buffer": written, "literal_binds": True}
    )
    with Operations.context(context):
        revision.upgrade()
    return [each.strip() for each in written.getvalue().split(";\n") if each.strip()]


def contractions(sql: Sequence[str]) -> Iterator[str]:
    """The statements that would break hubs of the release before, or keep them from writing for long."""
    made = {found[1] for each in sql if (found := _CREATE_TABLE.match(each))}
    for each in sql:
        if not _expands(each, made):
            yield " ".join(each.split())


def _expands(statement: str, made: set[str]) -> bool:
    if _CREATE_TABLE.match(statement):
        return True
    if found := _CREATE_INDEX.match(statement):
        # One that exists may have been made CONCURRENTLY before: while it is made here, nobody writes to its table.
        return found[3] in made or bool(found["twice"] and not found["unique"])
    if found := _ALTER.match(statement):
        return found[1] in made or bool(_LOOSER.match(found["what"]) or _adds_what_may_be_left_out(found["what"]))
    return False


def _adds_what_may_be_left_out(change: str) -> bool:
    found = _ADD_COLUMN.match(change)
    if not found:
        return False
    column = found["column"]
    strict = re.search(r"\b(UNIQUE|REFERENCES|CHECK|PRIMARY KEY)\b", column)
    return not strict and ("NOT NULL" not in column or " DEFAULT " in column)


def broken(revisions: Sequence[ModuleType | Any], least_head: str, version: str) -> Iterator[str]:
    """What is wrong with a line of revisions, oldest first, of which `version` is the release that has all of them."""
    by_name = {each.revision: each for each in revisions}
    for each in revisions:
        if each.revision <= BEFORE_RELEASES:
            continue
        release = getattr(each, "release", None)
        if release is None or _numbers(release) > _numbers(version):
            yield f"{each.revision}: `release` must be the first release that has it, at most {version}"
            continue
        if not (found := list(contractions(statements(each)))):
            continue
        since = by_name.get(getattr(each, "unused_since", None))
        if since is None or _release(since) >= _numbers(release):
            yield f"{each.revision}: `unused_since` must be of a release before {release}, for it does {found}"
        elif least_head < since.revision:
            yield f"{each.revision}: schema.LEAST_HEAD must be at least {since.revision}, for it does {found}"


def _release(revision: Any) -> tuple[int, ...]:
    return _numbers(getattr(revision, "release", "0"))


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(each) for each in version.split("."))
