"""Accounts: passwords, groups, sign-ins by device code with refresh tokens, rate limits; tokens know their sign-in."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Add the tables of accounts; tokens that exist belong to no sign-in."""
    _passwords()
    _group_members()
    _sign_ins()
    _refresh_tokens()
    _device_codes()
    _browsers()
    _attempts()
    # Nothing refers to tokens, so that SQLite may copy the table.
    with op.batch_alter_table("tokens", recreate="always") as tokens:
        tokens.add_column(sa.Column("sign_in_id", sa.Text(), nullable=True))
        tokens.create_foreign_key(op.f("fk_tokens_sign_in_id"), "sign_ins", ["sign_in_id"], ["id"])
        tokens.create_index(op.f("ix_tokens_sign_in_id"), ["sign_in_id"], unique=False)


def downgrade() -> None:
    """Sign-ins cannot be kept without their tables."""
    raise NotImplementedError("restore the catalogue from a copy made before the upgrade")


def _passwords() -> None:
    op.create_table(
        "passwords",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("argon2", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_passwords_principal_id")),
        sa.PrimaryKeyConstraint("principal_id", name=op.f("pk_passwords")),
    )


def _group_members() -> None:
    op.create_table(
        "group_members",
        sa.Column("group_id", sa.Text(), nullable=False),
        sa.Column("member_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["group_id"], ["principals.id"], name=op.f("fk_group_members_group_id")),
        sa.ForeignKeyConstraint(["member_id"], ["principals.id"], name=op.f("fk_group_members_member_id")),
        sa.PrimaryKeyConstraint("group_id", "member_id", name=op.f("pk_group_members")),
    )
    op.create_index(
        op.f("ix_group_members_member_id_group_id"), "group_members", ["member_id", "group_id"], unique=False
    )


def _sign_ins() -> None:
    op.create_table(
        "sign_ins",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_sign_ins_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sign_ins")),
    )
    op.create_index(op.f("ix_sign_ins_principal_id"), "sign_ins", ["principal_id"], unique=False)


def _refresh_tokens() -> None:
    op.create_table(
        "refresh_tokens",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("sign_in_id", sa.Text(), nullable=False),
        sa.Column("parent_sha256", sa.LargeBinary(), nullable=True),
        sa.Column("token_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("used_at", sa.BigInteger(), nullable=True),
        sa.Column("replaced_at", sa.BigInteger(), nullable=True),
        sa.ForeignKeyConstraint(["sign_in_id"], ["sign_ins.id"], name=op.f("fk_refresh_tokens_sign_in_id")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_refresh_tokens")),
    )
    for column in ("expires_at", "parent_sha256", "sign_in_id"):
        op.create_index(op.f(f"ix_refresh_tokens_{column}"), "refresh_tokens", [column], unique=False)


def _device_codes() -> None:
    op.create_table(
        "device_codes",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("user_code_sha256", sa.LargeBinary(), nullable=False),
        sa.Column("client_id", sa.Text(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("address", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=True),
        sa.Column("interval_s", sa.Integer(), nullable=False),
        sa.Column("polled_at", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('pending', 'approved', 'denied', 'used')", name=op.f("ck_device_codes_state")),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_device_codes_principal_id")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_device_codes")),
        sa.UniqueConstraint("user_code_sha256", name=op.f("uq_device_codes_user_code_sha256")),
    )
    op.create_index(op.f("ix_device_codes_expires_at"), "device_codes", ["expires_at"], unique=False)


def _browsers() -> None:
    op.create_table(
        "browsers",
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_browsers_principal_id")),
        sa.PrimaryKeyConstraint("sha256", name=op.f("pk_browsers")),
    )
    for column in ("expires_at", "principal_id"):
        op.create_index(op.f(f"ix_browsers_{column}"), "browsers", [column], unique=False)


def _attempts() -> None:
    op.create_table(
        "attempts",
        sa.Column("subject", sa.LargeBinary(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("began_at", sa.BigInteger(), nullable=False),
        sa.Column("ends_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("subject", name=op.f("pk_attempts")),
    )
    op.create_index(op.f("ix_attempts_ends_at"), "attempts", ["ends_at"], unique=False)
