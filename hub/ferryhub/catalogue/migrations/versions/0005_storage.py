"""Storage locations: where a session's and a content's bytes are, and what an S3 store needs to be asked."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

from ferryhub.catalogue.columns import Text

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Everything that is there is in the hub's own files."""
    op.create_table(
        "storage_locations",
        sa.Column("name", Text(), nullable=False),
        sa.Column("kind", Text(), nullable=False),
        sa.Column("options", Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("kind IN ('s3')", name=op.f("ck_storage_locations_kind")),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_storage_locations")),
    )
    for table in ("contents", "upload_sessions"):
        op.add_column(table, sa.Column("storage_location", Text(), nullable=False, server_default="default"))
    op.add_column("upload_files", sa.Column("store_upload_id", Text(), nullable=False, server_default=""))
    op.add_column("upload_parts", sa.Column("crc64nvme", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """What lies in a bucket could not be found again."""
    raise NotImplementedError("restore the catalogue from a copy made before the upgrade")
