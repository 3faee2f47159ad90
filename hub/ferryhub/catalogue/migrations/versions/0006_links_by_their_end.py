"""The index of links by the asset that they lead to holds where they begin: a walk both ways need not read the rows."""

from __future__ import annotations

from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """One index takes the place of another. It goes first: so the table is locked once, as far as it ever will be, and
    nobody waits for us who holds what we wait for."""
    op.drop_index(op.f("ix_relationships_to_asset_id_created_at_id"), "relationships")
    op.create_index(
        op.f("ix_relationships_to_asset_id_created_at_id_from_asset_id"),
        "relationships",
        ["to_asset_id", "created_at", "id", "from_asset_id"],
        if_not_exists=True,
    )


def downgrade() -> None:
    """The index as it was."""
    op.create_index(
        op.f("ix_relationships_to_asset_id_created_at_id"), "relationships", ["to_asset_id", "created_at", "id"]
    )
    op.drop_index(op.f("ix_relationships_to_asset_id_created_at_id_from_asset_id"), "relationships")
