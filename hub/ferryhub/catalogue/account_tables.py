"""Tables of the hub's accounts: passwords, OpenID identities, groups, sign-ins with their tokens, device codes, limits.

The part of the catalogue's schema that `ferryhub.auth` reads and writes; same rules as `tables.py`. Secrets are kept as
SHA-256 (random ones) or argon2 (passwords) only. No queries here.
"""

from __future__ import annotations

from sqlalchemy import (
    BigInteger,
    CheckConstraint,
    Column,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    PrimaryKeyConstraint,
    Table,
    UniqueConstraint,
)

from ferryhub.catalogue.columns import Text
from ferryhub.catalogue.tables import metadata as metadata

#: Who has no row here cannot sign in with a password.
passwords = Table(
    "passwords",
    metadata,
    Column("principal_id", Text, ForeignKey("principals.id"), primary_key=True),
    Column("argon2", Text, nullable=False),
    Column("changed_at", BigInteger, nullable=False),
)

#: Whom an OpenID provider means by a subject, whatever becomes of their address there.
provider_links = Table(
    "provider_links",
    metadata,
    Column("issuer", Text, nullable=False),
    Column("subject", Text, nullable=False),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("issuer", "subject"),
    UniqueConstraint("principal_id", "issuer"),
)

#: A browser that was sent to the OpenID provider and may come back once.
provider_visits = Table(
    "provider_visits",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

#: A member has every role its groups have. A group is never a member.
group_members = Table(
    "group_members",
    metadata,
    Column("group_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("member_id", Text, ForeignKey("principals.id"), nullable=False),
    Column("created_at", BigInteger, nullable=False),
    PrimaryKeyConstraint("group_id", "member_id"),
    Index(None, "member_id", "group_id"),
)

#: One approved device: the family of every token that came of it.
sign_ins = Table(
    "sign_ins",
    metadata,
    Column("id", Text, primary_key=True),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False, index=True),
    Column("client_id", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("created_at", BigInteger, nullable=False),
    Column("revoked_at", BigInteger),
)

refresh_tokens = Table(
    "refresh_tokens",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("sign_in_id", Text, ForeignKey("sign_ins.id"), nullable=False, index=True),
    #: The refresh token it was exchanged for; none for the first of a sign-in.
    Column("parent_sha256", LargeBinary, index=True),
    #: The access token handed out with it.
    Column("token_id", Text, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    #: When it was first exchanged.
    Column("used_at", BigInteger),
    #: When it was replaced before it was ever used.
    Column("replaced_at", BigInteger),
)

device_codes = Table(
    "device_codes",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("user_code_sha256", LargeBinary, nullable=False, unique=True),
    Column("client_id", Text, nullable=False),
    Column("scopes", Text, nullable=False),
    #: The network address that asked, to show to who approves.
    Column("address", Text, nullable=False),
    Column("state", Text, nullable=False),
    #: Who approved or denied.
    Column("principal_id", Text, ForeignKey("principals.id")),
    Column("interval_s", Integer, nullable=False),
    Column("polled_at", BigInteger, nullable=False),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
    CheckConstraint("state IN ('pending', 'approved', 'denied', 'used')", name="state"),
)

#: A browser in which somebody signed in, to approve a device.
browsers = Table(
    "browsers",
    metadata,
    Column("sha256", LargeBinary, primary_key=True),
    Column("principal_id", Text, ForeignKey("principals.id"), nullable=False, index=True),
    Column("expires_at", BigInteger, nullable=False, index=True),
    Column("created_at", BigInteger, nullable=False),
)

#: How often something was tried since `began_at`. `subject` is a SHA-256: no address and no e-mail is kept.
attempts = Table(
    "attempts",
    metadata,
    Column("subject", LargeBinary, primary_key=True),
    Column("tries", Integer, nullable=False),
    Column("began_at", BigInteger, nullable=False),
    Column("ends_at", BigInteger, nullable=False, index=True),
)
