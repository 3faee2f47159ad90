"""The catalogue as it began: every table of the first version.

Generated from `tables.py`, then frozen: later changes get their own revision.
"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Make every table, those first that others refer to."""
    _aliases()
    _allocations()
    _principals()
    _settings()
    _grants()
    _projects()
    _requests()
    _tokens()
    _upload_sessions()
    _collections()
    _upload_files()
    _upload_parts()
    _assets()
    _collection_scopes()
    _contents()
    _relationships()
    _content_files()


def downgrade() -> None:
    """There is nothing before this."""
    raise NotImplementedError("the first revision has none before it")


def _aliases() -> None:
    op.create_table(
        "aliases",
        sa.Column("alias_folded", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("node_id", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("alias_folded", name=op.f("pk_aliases")),
    )
    op.create_index(op.f("ix_aliases_node_id"), "aliases", ["node_id"], unique=False)


def _allocations() -> None:
    op.create_table(
        "allocations",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("storage_location", sa.Text(), nullable=False),
        sa.Column("quota_bytes", sa.BigInteger(), nullable=False),
        sa.Column("used_bytes", sa.BigInteger(), nullable=False),
        sa.Column("reserved_bytes", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_allocations")),
        sa.UniqueConstraint(
            "owner_type",
            "owner_id",
            "storage_location",
            name=op.f("uq_allocations_owner_type_owner_id_storage_location"),
        ),
    )


def _principals() -> None:
    op.create_table(
        "principals",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("kind", sa.Text(), nullable=False),
        sa.Column("email", sa.Text(), nullable=False),
        sa.Column("display_name", sa.Text(), nullable=False),
        sa.Column("disabled", sa.Boolean(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_principals")),
        sa.UniqueConstraint("email", name=op.f("uq_principals_email")),
    )


def _settings() -> None:
    op.create_table(
        "settings",
        sa.Column("key", sa.Text(), nullable=False),
        sa.Column("value", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_settings")),
    )


def _grants() -> None:
    op.create_table(
        "grants",
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.Column("role", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("role IN ('viewer', 'editor', 'owner')", name=op.f("ck_grants_role")),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_grants_principal_id")),
        sa.PrimaryKeyConstraint("principal_id", "resource_id", name=op.f("pk_grants")),
    )
    op.create_index(op.f("ix_grants_resource_id_principal_id"), "grants", ["resource_id", "principal_id"], unique=False)


def _projects() -> None:
    op.create_table(
        "projects",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("root_collection_id", sa.Text(), nullable=False),
        sa.Column("default_allocation_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["principals.id"], name=op.f("fk_projects_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_projects")),
    )
    op.create_index(op.f("ix_projects_created_at_id"), "projects", ["created_at", "id"], unique=False)


def _requests() -> None:
    op.create_table(
        "requests",
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("method", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("result_id", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_requests_principal_id")),
        sa.PrimaryKeyConstraint("request_id", "principal_id", name=op.f("pk_requests")),
    )
    op.create_index(op.f("ix_requests_created_at"), "requests", ["created_at"], unique=False)


def _tokens() -> None:
    op.create_table(
        "tokens",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("sha256", sa.LargeBinary(), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=True),
        sa.Column("revoked_at", sa.BigInteger(), nullable=True),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_tokens_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tokens")),
        sa.UniqueConstraint("sha256", name=op.f("uq_tokens_sha256")),
    )
    op.create_index(op.f("ix_tokens_principal_id"), "tokens", ["principal_id"], unique=False)


def _upload_sessions() -> None:
    op.create_table(
        "upload_sessions",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("new_asset", sa.Boolean(), nullable=False),
        sa.Column("principal_id", sa.Text(), nullable=False),
        sa.Column("request_id", sa.Text(), nullable=False),
        sa.Column("request_fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("total_size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("total_file_count", sa.Integer(), nullable=False),
        sa.Column("allocation_id", sa.Text(), nullable=False),
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("expires_at", sa.BigInteger(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.CheckConstraint("state IN ('open', 'committed', 'aborted')", name=op.f("ck_upload_sessions_state")),
        sa.ForeignKeyConstraint(["principal_id"], ["principals.id"], name=op.f("fk_upload_sessions_principal_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_upload_sessions")),
    )
    op.create_index(op.f("ix_upload_sessions_asset_id"), "upload_sessions", ["asset_id"], unique=False)
    op.create_index(
        op.f("ix_upload_sessions_principal_id_request_id"),
        "upload_sessions",
        ["principal_id", "request_id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_upload_sessions_state_expires_at"), "upload_sessions", ["state", "expires_at"], unique=False
    )


def _collections() -> None:
    op.create_table(
        "collections",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("parent_id", sa.Text(), nullable=True),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["principals.id"], name=op.f("fk_collections_created_by")),
        sa.ForeignKeyConstraint(["parent_id"], ["collections.id"], name=op.f("fk_collections_parent_id")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_collections_project_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_collections")),
        sa.UniqueConstraint("parent_id", "name", name=op.f("uq_collections_parent_id_name")),
    )
    op.create_index(op.f("ix_collections_owner_type_owner_id"), "collections", ["owner_type", "owner_id"], unique=False)
    op.create_index(op.f("ix_collections_project_id"), "collections", ["project_id"], unique=False)


def _upload_files() -> None:
    op.create_table(
        "upload_files",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("file_index", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_bytes", sa.BigInteger(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["upload_sessions.id"], name=op.f("fk_upload_files_session_id")),
        sa.PrimaryKeyConstraint("session_id", "file_index", name=op.f("pk_upload_files")),
        sa.UniqueConstraint("session_id", "path", name=op.f("uq_upload_files_session_id_path")),
    )


def _upload_parts() -> None:
    op.create_table(
        "upload_parts",
        sa.Column("session_id", sa.Text(), nullable=False),
        sa.Column("file_index", sa.Integer(), nullable=False),
        sa.Column("part_number", sa.Integer(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("block_digests", sa.LargeBinary(), nullable=False),
        sa.Column("stored_at", sa.BigInteger(), nullable=False),
        sa.ForeignKeyConstraint(["session_id"], ["upload_sessions.id"], name=op.f("fk_upload_parts_session_id")),
        sa.PrimaryKeyConstraint("session_id", "file_index", "part_number", name=op.f("pk_upload_parts")),
    )


def _assets() -> None:
    op.create_table(
        "assets",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("alias", sa.Text(), nullable=False),
        sa.Column("tags", sa.Text(), nullable=False),
        sa.Column("metadata", sa.Text(), nullable=False),
        sa.Column("owner_type", sa.Text(), nullable=False),
        sa.Column("owner_id", sa.Text(), nullable=False),
        sa.Column("project_id", sa.Text(), nullable=True),
        sa.Column("collection_id", sa.Text(), nullable=False),
        sa.Column("state", sa.Text(), nullable=False),
        sa.Column("latest_content_id", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("etag", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.Column("updated_at", sa.BigInteger(), nullable=False),
        sa.Column("updated_by", sa.Text(), nullable=False),
        sa.CheckConstraint("state IN ('draft', 'ready')", name=op.f("ck_assets_state")),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_assets_collection_id")),
        sa.ForeignKeyConstraint(["created_by"], ["principals.id"], name=op.f("fk_assets_created_by")),
        sa.ForeignKeyConstraint(["project_id"], ["projects.id"], name=op.f("fk_assets_project_id")),
        sa.ForeignKeyConstraint(["updated_by"], ["principals.id"], name=op.f("fk_assets_updated_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_assets")),
    )
    op.create_index(
        op.f("ix_assets_collection_id_state_created_at_id"),
        "assets",
        ["collection_id", "state", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_assets_owner_type_owner_id"), "assets", ["owner_type", "owner_id"], unique=False)
    op.create_index(
        op.f("ix_assets_project_id_state_created_at_id"),
        "assets",
        ["project_id", "state", "created_at", "id"],
        unique=False,
    )
    op.create_index(op.f("ix_assets_state_created_at_id"), "assets", ["state", "created_at", "id"], unique=False)


def _collection_scopes() -> None:
    op.create_table(
        "collection_scopes",
        sa.Column("collection_id", sa.Text(), nullable=False),
        sa.Column("resource_id", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["collection_id"], ["collections.id"], name=op.f("fk_collection_scopes_collection_id")),
        sa.PrimaryKeyConstraint("collection_id", "resource_id", name=op.f("pk_collection_scopes")),
    )
    op.create_index(
        op.f("ix_collection_scopes_resource_id_collection_id"),
        "collection_scopes",
        ["resource_id", "collection_id"],
        unique=False,
    )


def _contents() -> None:
    op.create_table(
        "contents",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("asset_id", sa.Text(), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("digest", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("file_count", sa.Integer(), nullable=False),
        sa.Column("message", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["asset_id"], ["assets.id"], name=op.f("fk_contents_asset_id")),
        sa.ForeignKeyConstraint(["created_by"], ["principals.id"], name=op.f("fk_contents_created_by")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_contents")),
        sa.UniqueConstraint("asset_id", "version", name=op.f("uq_contents_asset_id_version")),
    )


def _relationships() -> None:
    op.create_table(
        "relationships",
        sa.Column("id", sa.Text(), nullable=False),
        sa.Column("fingerprint", sa.LargeBinary(), nullable=False),
        sa.Column("from_asset_id", sa.Text(), nullable=False),
        sa.Column("to_asset_id", sa.Text(), nullable=False),
        sa.Column("type", sa.Text(), nullable=False),
        sa.Column("analysis_mode", sa.Text(), nullable=False),
        sa.Column("qualifier_note", sa.Text(), nullable=False),
        sa.Column("qualifier_time", sa.Text(), nullable=False),
        sa.Column("qualifiers", sa.Text(), nullable=False),
        sa.Column("created_at", sa.BigInteger(), nullable=False),
        sa.Column("created_by", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["created_by"], ["principals.id"], name=op.f("fk_relationships_created_by")),
        sa.ForeignKeyConstraint(["from_asset_id"], ["assets.id"], name=op.f("fk_relationships_from_asset_id")),
        sa.ForeignKeyConstraint(["to_asset_id"], ["assets.id"], name=op.f("fk_relationships_to_asset_id")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_relationships")),
        sa.UniqueConstraint("fingerprint", name=op.f("uq_relationships_fingerprint")),
    )
    op.create_index(
        op.f("ix_relationships_from_asset_id_created_at_id"),
        "relationships",
        ["from_asset_id", "created_at", "id"],
        unique=False,
    )
    op.create_index(
        op.f("ix_relationships_to_asset_id_created_at_id"),
        "relationships",
        ["to_asset_id", "created_at", "id"],
        unique=False,
    )


def _content_files() -> None:
    op.create_table(
        "content_files",
        sa.Column("content_id", sa.Text(), nullable=False),
        sa.Column("file_index", sa.Integer(), nullable=False),
        sa.Column("path", sa.Text(), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("digest", sa.LargeBinary(), nullable=False),
        sa.Column("part_bytes", sa.BigInteger(), nullable=False),
        sa.Column("part_digests", sa.LargeBinary(), nullable=False),
        sa.Column("media_type", sa.Text(), nullable=False),
        sa.Column("blob_key", sa.Text(), nullable=False),
        sa.ForeignKeyConstraint(["content_id"], ["contents.id"], name=op.f("fk_content_files_content_id")),
        sa.PrimaryKeyConstraint("content_id", "file_index", name=op.f("pk_content_files")),
    )
    op.create_index(op.f("ix_content_files_blob_key"), "content_files", ["blob_key"], unique=False)
