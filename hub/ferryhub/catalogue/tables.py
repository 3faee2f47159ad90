"""Every table of the hub's catalogue, as SQLAlchemy Core metadata: the one description of the schema.

Used by upload steps 7 and 10 and by every catalogue call. Times are integer microseconds since the epoch, UTC; JSON is
text; digests are raw bytes. Nothing here is SQLite's own: PostgreSQL gets the same. No queries here. A change needs a
migration beside it (`migrations/versions/`).
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Connection,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
    event,
    text,
)

from ferryhub.catalogue.columns import Text

metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "ck": "ck_%(table_name)s_%(constraint_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

#: Users, bots and groups. `email` is in lower case; a bot or a group has a name there, which never holds an `@`.
principals = Table(
    "principals",
    metadata,
    Column("id", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("email", Text, nullable=False, unique=True),
    Column("display_name", Text, nullable=False, default=""),
    Column("disabled", Boolean, nullable=False, default=False),
    Column("created_at", BigInteger, nullable=False),
)

#: Bearer tokens; only the SHA-256 of the secret is kept. `scopes` are words with one space between.
tokens = Table(
    "tokens",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False, index=True),
    Column("sha256", LargeBinary, nullable=False, unique=True),
    Column("scopes", Text, nullable=False),
    Column("expires_at", BigInteger),
    Column("revoked_at", BigInteger),
    Column("created_at", BigInteger, nullable=False),
    #: The sign-in that it belongs to; none for a token that an operator made.
    Column("sign_in_id", Text, ForeignKey("sign_ins.id"), index=True),
)

#: Secrets and facts of the whole hub: keys `url_secret` and `page_secret` (hex).
settings = Table(
    "settings",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text, nullable=False),
)

projects = Table(
    "projects",
    metadata,
    Column("id", Text, primary_key=True),
    Column("name", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("alias", Text, nullable=False, default=""),
    Column("root_collection_id", Text, nullable=False),
    Column("default_allocation_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, ForeignKey("principals.id"), nullable=False),
    Index(None, "created_at", "id"),
)

#: A root has no parent, the path `/` and its owner's id as name.
collections = Table(
    "collections",
    metadata,
    Column("id", Text, primary_key=True),
    Column("parent_id", Text, ForeignKey("collections.id")),
    Column("project_id", Text, ForeignKey("projects.id"), index=True),
    Column("owner_type", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("name", Text, nullable=False),
    Column("alias", Text, nullable=False, default=""),
    Column("path", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, ForeignKey("principals.id"), nullable=False),
    UniqueConstraint("parent_id", "name"),
    Index(None, "owner_type", "owner_id"),
)

#: Every resource whose grants reach a collection: itself, the collections above it and its project.
collection_scopes = Table(
    "collection_scopes",
    metadata,
    Column("collection_id", Text, ForeignKey("collections.id"), nullable=False),
    Column("resource_id", Text, nullable=False),
    PrimaryKeyConstraint("collection_id", "resource_id"),
    Index(None, "resource_id", "collection_id"),
)

assets = Table(
    "assets",
    metadata,
    Column("id", Text, primary_key=True),
    Column("title", Text, nullable=False),
    Column("description", Text, nullable=False, default=""),
    Column("alias", Text, nullable=False, default=""),
    Column("tags", Text, nullable=False, default="[]"),
    Column("metadata", Text, nullable=False, default="{}"),
    Column("owner_type", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("project_id", Text, ForeignKey("projects.id")),
    Column("collection_id", Text, ForeignKey("collections.id"), nullable=False),
    Column("state", Text, nullable=False),
    Column("latest_content_id", Text, nullable=False, default=""),
    Column("size_bytes", BigInteger, nullable=False, default=0),
    Column("file_count", Integer, nullable=False, default=0),
    Column("etag", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, ForeignKey("principals.id"), nullable=False),
    Column("updated_at", BigInteger, nullable=False),
    Column("updated_by", Text, ForeignKey("principals.id"), nullable=False),
    CheckConstraint("state IN ('draft', 'ready')", name="state"),
    Index(None, "state", "created_at", "id"),
    Index(None, "project_id", "state", "created_at", "id"),
    Index(None, "collection_id", "state", "created_at", "id"),
    Index(None, "owner_type", "owner_id", "state", "created_at", "id"),
)

#: One table for all nouns: an alias names one node of the hub, whatever its case.
aliases = Table(
    "aliases",
    metadata,
    Column("alias_folded", Text, primary_key=True),
    Column("alias", Text, nullable=False),
    Column("node_id", Text, nullable=False, index=True),
)

contents = Table(
    "contents",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asset_id", Text, ForeignKey("assets.id"), nullable=False),
    Column("version", Integer, nullable=False),
    Column("digest", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("file_count", Integer, nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, ForeignKey("principals.id"), nullable=False),
    #: Where the bytes of all its files are.
    Column("storage_location", Text, nullable=False, server_default="default"),
    UniqueConstraint("asset_id", "version"),
)

content_files = Table(
    "content_files",
    metadata,
    Column("content_id", Text, ForeignKey("contents.id"), nullable=False),
    Column("file_index", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("part_bytes", BigInteger, nullable=False),
    Column("part_digests", LargeBinary, nullable=False),
    Column("media_type", Text, nullable=False, default=""),
    #: Empty for an empty file, which has no blob.
    Column("blob_key", Text, nullable=False, default="", index=True),
    #: Where in the blob the file starts: not at 0 only in a pack.
    Column("blob_offset", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("content_id", "file_index"),
)

#: `fingerprint` is a digest over everything that a caller gave: an exact duplicate is the same link.
relationships = Table(
    "relationships",
    metadata,
    Column("id", Text, primary_key=True),
    Column("fingerprint", LargeBinary, nullable=False, unique=True),
    Column("from_asset_id", Text, ForeignKey("assets.id"), nullable=False),
    Column("to_asset_id", Text, ForeignKey("assets.id"), nullable=False),
    Column("type", Text, nullable=False),
    Column("analysis_mode", Text, nullable=False, default=""),
    Column("qualifier_note", Text, nullable=False, default=""),
    Column("qualifier_time", Text, nullable=False, default=""),
    Column("qualifiers", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    Column("created_by", Text, ForeignKey("principals.id"), nullable=False),
    Index(None, "from_asset_id", "created_at", "id"),
    # Where a link begins, too: a walk both ways asks for nothing else of those that lead to an asset.
    Index(None, "to_asset_id", "created_at", "id", "from_asset_id"),
)

grants = Table(
    "grants",
    metadata,
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("resource_id", Text, nullable=False),
    Column("role", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("principal_id", "resource_id"),
    CheckConstraint("role IN ('viewer', 'editor', 'owner')", name="role"),
    Index(None, "resource_id", "principal_id"),
)

#: Where bytes may be kept besides the hub's own files. `options` never hold a secret.
storage_locations = Table(
    "storage_locations",
    metadata,
    Column("name", Text, primary_key=True),
    Column("kind", Text, nullable=False),
    Column("options", Text, nullable=False, default="{}"),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("kind IN ('s3')", name="kind"),
)

#: A project's or a user's share of a storage location.
allocations = Table(
    "allocations",
    metadata,
    Column("id", Text, primary_key=True),
    Column("owner_type", Text, nullable=False),
    Column("owner_id", Text, nullable=False),
    Column("storage_location", Text, nullable=False),
    Column("quota_bytes", BigInteger, nullable=False),
    #: What committed contents use.
    Column("used_bytes", BigInteger, nullable=False, default=0),
    #: What open upload sessions have announced.
    Column("reserved_bytes", BigInteger, nullable=False, default=0),
    Column("created_at", BigInteger, nullable=False),
    UniqueConstraint("owner_type", "owner_id", "storage_location"),
)

#: What a request id was used for: a repeat gives the first result.
requests = Table(
    "requests",
    metadata,
    Column("request_id", Text, nullable=False),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("method", Text, nullable=False),
    Column("fingerprint", LargeBinary, nullable=False),
    Column("result_id", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False, index=True),
    PrimaryKeyConstraint("request_id", "principal_id"),
)

upload_sessions = Table(
    "upload_sessions",
    metadata,
    Column("id", Text, primary_key=True),
    Column("asset_id", Text, nullable=False, index=True),
    #: The session made the asset, which goes with it when it is aborted.
    Column("new_asset", Boolean, nullable=False),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("request_id", Text, nullable=False),
    Column("request_fingerprint", LargeBinary, nullable=False),
    Column("message", Text, nullable=False, default=""),
    Column("state", Text, nullable=False),
    Column("total_size_bytes", BigInteger, nullable=False),
    Column("total_file_count", Integer, nullable=False),
    Column("allocation_id", Text, nullable=False, default=""),
    Column("content_id", Text, nullable=False, default=""),
    Column("expires_at", BigInteger, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    #: Where its bytes go.
    Column("storage_location", Text, nullable=False, server_default="default"),
    CheckConstraint("state IN ('open', 'committed', 'aborted')", name="state"),
    #: A request opens one session, on however many hubs it arrives; once that is aborted it may open another.
    Index(
        "uq_upload_sessions_principal_id_request_id",
        "principal_id",
        "request_id",
        unique=True,
        sqlite_where=text("state <> 'aborted'"),
    ),
    Index(None, "expires_at"),
)


@event.listens_for(upload_sessions, "before_create")
def _partial_on_postgresql(table: Table, connection: Connection, **_: object) -> None:
    """`postgresql_where`, said late: said above, it would have every hub on SQLite import PostgreSQL's dialect."""
    if connection.dialect.name == "postgresql":
        for index in table.indexes:
            index.dialect_options["postgresql"]["where"] = index.dialect_options["sqlite"]["where"]


upload_files = Table(
    "upload_files",
    metadata,
    Column("session_id", Text, ForeignKey("upload_sessions.id"), nullable=False),
    Column("file_index", Integer, nullable=False),
    Column("path", Text, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("part_bytes", BigInteger, nullable=False),
    Column("media_type", Text, nullable=False, default=""),
    #: The store's own name for the upload of this file, where it needs one: every replica must use the same.
    Column("store_upload_id", Text, nullable=False, server_default=""),
    PrimaryKeyConstraint("session_id", "file_index"),
    UniqueConstraint("session_id", "path"),
)

upload_parts = Table(
    "upload_parts",
    metadata,
    Column("session_id", Text, ForeignKey("upload_sessions.id"), nullable=False),
    Column("file_index", Integer, nullable=False),
    Column("part_number", Integer, nullable=False),
    Column("digest", LargeBinary, nullable=False),
    Column("block_digests", LargeBinary, nullable=False),
    Column("stored_at", BigInteger, nullable=False),
    #: CRC-64/NVME of its bytes, 8 bytes, where the store checks that.
    Column("crc64nvme", LargeBinary),
    #: The pack that it came in, as `packs.py` names it, and where in it; empty when it came by itself.
    Column("pack", Text, nullable=False, server_default=""),
    Column("pack_offset", BigInteger, nullable=False, server_default="0"),
    PrimaryKeyConstraint("session_id", "file_index", "part_number"),
)

#: What one hub of many does at a time, such as sweeping: whoever holds it, until when.
leases = Table(
    "leases",
    metadata,
    Column("name", Text, primary_key=True),
    Column("holder", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False),
)
