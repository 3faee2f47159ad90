"""Packs: several small files in one object of a store, each with where it starts."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ferryhub.catalogue.columns import Text

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything that is there has an object of its own."""
    op.add_column("upload_parts", sa.Column("pack", Text(), nullable=False, server_default=""))
    op.add_column("upload_parts", sa.Column("pack_offset", sa.BigInteger(), nullable=False, server_default="0"))
    op.add_column("content_files", sa.Column("blob_offset", sa.BigInteger(), nullable=False, server_default="0"))


def downgrade() -> None:
    """Files could not be found again in their packs."""
    raise NotImplementedError("restore the catalogue from a copy made before the upgrade")
