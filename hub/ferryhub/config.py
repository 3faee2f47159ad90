"""What the hub can be told, with meaning and default of each. Read by `app.py` and `cli.py` alone."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final
from urllib.parse import parse_qs, urlsplit

#: The environment variable that names the database, password included.
DATABASE_VARIABLE: Final = "FERRYHUB_DATABASE"
DEFAULT_LISTEN: Final = "127.0.0.1:8720"


@dataclass(frozen=True, slots=True)
class ProviderSettings:
    """An OpenID provider at which people may sign in to the hub's page."""

    #: Its address, exactly as it calls itself in its `/.well-known/openid-configuration`.
    issuer: str
    #: What it calls this hub.
    client_id: str
    #: The file that holds the secret it gave to this hub, on one line.
    client_secret_file: Path
    #: What people call it; empty: the host in its address.
    name: str = ""
    #: Who comes with a verified e-mail address in one of these domains and is new is made a user.
    new_users_of: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class HubSettings:
    """Settings of one hub."""

    #: Where everything is kept: the catalogue in `catalogue.db`, bytes below `blobs/`. Created private to the user.
    state_dir: Path
    #: PostgreSQL for the catalogue, such as `postgresql://ferryhub@db.example.org/ferryhub`; empty: SQLite below
    #: `state_dir`. May hold a password.
    database_url: str = field(default="", repr=False)
    #: Hand out file locations to callers that can open them. Only for a hub inside the caller's own daemon.
    local_files: bool = False
    #: How long an upload session lives without being used, in seconds.
    session_ttl_s: float = 7 * 24 * 3600
    #: How long a signed URL works, in seconds.
    url_ttl_s: float = 3600
    #: What a new project or user may store, in bytes.
    default_quota_bytes: int = 1 << 50
    #: How often what expired and unreferenced blobs are looked for, in seconds; 0 means never.
    sweep_interval_s: float = 600
    #: What the sweep finds without a session or content is left alone while it is younger, in seconds: longer than the
    #: clocks of hub and store may differ.
    sweep_grace_s: float = 3600
    #: Answer the sign-in page and the OAuth endpoints. Not for an embedded hub, whose user is signed in already.
    web: bool = False
    #: Where users find the hub, such as `https://hub.example.org`; empty: wherever they call it.
    public_url: str = ""
    #: How long an access token works, in seconds.
    access_ttl_s: float = 3600
    #: How long a refresh token works after its last use, in seconds.
    refresh_ttl_s: float = 30 * 24 * 3600
    #: How long a refresh may be repeated whose reply was lost, in seconds.
    refresh_grace_s: float = 30
    #: How long a device waits to be approved, in seconds.
    device_ttl_s: float = 600
    #: How often a waiting device may ask, in seconds.
    device_interval_s: int = 5

    #: How long a hub that was told to stop still takes requests while `/readyz` says that it is not ready, in seconds:
    #: what a proxy in front of several hubs needs to notice.
    drain_delay_s: float = 0
    #: Where Prometheus may fetch metrics, as `HOST:PORT`; empty: nowhere.
    metrics_listen: str = ""
    #: At which people may sign in, besides or instead of with a password. Needs `public_url`.
    provider: ProviderSettings | None = None
    #: Whether people may sign in with a password.
    passwords: bool = True

    @property
    def catalogue_path(self) -> Path:
        """The SQLite file, unless there is a `database_url`."""
        return self.state_dir / "catalogue.db"

    @property
    def blobs_dir(self) -> Path:
        """Where the blob store keeps its files."""
        return self.state_dir / "blobs"


def chosen_database(given: str, file: Path | None) -> str:
    """The database's URL: as given on the command line, else from a file, else from the environment; empty: SQLite.

    Errors: `RuntimeError` for a password on the command line, which every user of the machine can see, and for what is
    no URL of PostgreSQL's; `OSError` when the file cannot be read.
    """
    parts = urlsplit(given)
    if parts.password or "password" in parse_qs(parts.query):
        raise RuntimeError(
            f"--database holds a password, which others can see: use --database-file or {DATABASE_VARIABLE}"
        )
    url = given or (file.read_text().strip() if file else os.environ.get(DATABASE_VARIABLE, ""))
    if file and not url:
        raise RuntimeError(f"{file} is empty: it must hold the database's URL, postgresql://USER@HOST/NAME")
    if url and not _is_postgres(url):
        raise RuntimeError("the database must be given as postgresql://USER@HOST/NAME")
    return url


def _is_postgres(url: str) -> bool:
    try:
        parts = urlsplit(url)
        return parts.scheme in ("postgres", "postgresql") and parts.port != 0
    except ValueError:  # a port or an address that is none
        return False


def default_state_dir() -> Path:
    """$XDG_STATE_HOME/ferryhub, else ~/.local/state/ferryhub."""
    base = os.environ.get("XDG_STATE_HOME")
    return (Path(base) if base else Path.home() / ".local" / "state") / "ferryhub"
