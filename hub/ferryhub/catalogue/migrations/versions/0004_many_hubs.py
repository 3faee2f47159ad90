"""Many hubs: leases; one session per request; more indexes; PostgreSQL sorts text as SQLite does."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the table of leases and change the indexes of upload sessions and assets."""
    _leases()
    op.drop_index(op.f("ix_upload_sessions_principal_id_request_id"), "upload_sessions")
    op.drop_index(op.f("ix_upload_sessions_state_expires_at"), "upload_sessions")
    op.create_index(op.f("ix_upload_sessions_expires_at"), "upload_sessions", ["expires_at"], unique=False)
    op.create_index(
        op.f("uq_upload_sessions_principal_id_request_id"),
        "upload_sessions",
        ["principal_id", "request_id"],
        unique=True,
        sqlite_where=sa.text("state <> 'aborted'"),
        postgresql_where=sa.text("state <> 'aborted'"),
    )
    op.drop_index(op.f("ix_assets_owner_type_owner_id"), "assets")
    newest_of_owner = ["owner_type", "owner_id", "state", "created_at", "id"]
    op.create_index(op.f(f"ix_assets_{'_'.join(newest_of_owner)}"), "assets", newest_of_owner, unique=False)
    if op.get_bind().dialect.name == "postgresql":
        _sort_by_code_point()


def downgrade() -> None:
    """Hubs of the release before would not wait for each other."""
    raise NotImplementedError("restore the catalogue from a copy made before the upgrade")


def _leases() -> None:
    op.create_table(
        "leases",
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("holder", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_leases")),
    )


def _sort_by_code_point() -> None:
    """Every text column of the catalogue so far; revisions after this one say so themselves (`columns.Text`)."""
    conn = op.get_bind()
    for table in sa.inspect(conn).get_table_names():
        if table == "alembic_version":
            continue
        for column in sa.inspect(conn).get_columns(table):
            if isinstance(column["type"], sa.Text) and column["type"].collation is None:
                op.alter_column(table, column["name"], type_=sa.Text(collation="C"))
