"""`ferryhub` of a release to come: this code with one more revision of the catalogue, which it uses."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

from ferryhub.catalogue import schema

#: What it is at.
HEAD = f"{int(schema.HEAD) + 1:04}"

_REVISION = f'''
import sqlalchemy as sa
from alembic import op
from ferryhub.catalogue.columns import Text

revision, down_revision, branch_labels, depends_on = "{HEAD}", "{schema.HEAD}", None, None


def upgrade():
    op.add_column("assets", sa.Column("note", Text(), nullable=False, server_default=""))
    op.create_table("notes", sa.Column("id", Text(), primary_key=True))
    op.create_index("ix_assets_note", "assets", ["note"], if_not_exists=True)
'''
_PROGRAM = """
import sys
from pathlib import Path
import sqlalchemy as sa
from ferryhub.catalogue import schema, tables
from ferryhub.catalogue.columns import Text

schema.MIGRATIONS = Path(__file__).with_name("migrations")
schema.HEAD, schema.LEAST_HEAD = {head!r}, {least!r}
tables.assets.append_column(sa.Column("note", Text(), nullable=False, server_default=""))
from ferryhub.cli import main
sys.exit(main())
"""


def newer_program(directory: Path, *, least_head: str = schema.HEAD) -> list[str]:
    """The words that run it; `least_head` is what it says of releases before."""
    migrations = directory / "migrations"
    shutil.copytree(schema.MIGRATIONS, migrations, ignore=shutil.ignore_patterns("__pycache__"))
    (migrations / "versions" / f"{HEAD}_newer.py").write_text(_REVISION)
    program = directory / "newer_ferryhub.py"
    program.write_text(_PROGRAM.format(head=HEAD, least=least_head))
    return [sys.executable, str(program)]
