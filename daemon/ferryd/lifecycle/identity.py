"""Who the embedded hub's user is: an id made once and kept, so that sign-in status needs no hub.

The file holds no secret: on the embedded hub the local user is whoever can open the socket.
"""

from __future__ import annotations

import getpass
import json
import os
import socket
from dataclasses import dataclass
from pathlib import Path

from ferrywire.ids import new_id

_NAME = "identity.json"


@dataclass(frozen=True, slots=True)
class LocalIdentity:
    """The local user: `user@host` and the principal id on the embedded hub."""

    principal_id: str
    email: str


def load_identity(state_dir: Path) -> LocalIdentity:
    """Read the identity, or make one durably. Call under the state lock."""
    path = state_dir / _NAME
    try:
        return LocalIdentity(**json.loads(path.read_text()))
    except FileNotFoundError:
        pass
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{path} is damaged ({error}); restore it: without it you are a new user to the embedded hub"
        ) from error
    identity = LocalIdentity(new_id("usr"), f"{_user()}@{socket.gethostname() or 'localhost'}")
    _write(path, json.dumps({"principal_id": identity.principal_id, "email": identity.email}))
    return identity


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a uid without a name, as in many containers
        return f"uid{os.getuid()}"


def _write(path: Path, text: str) -> None:
    """Write, fsync, rename, fsync the directory: after a power loss the old file or the new, never half."""
    temporary = path.with_suffix(".new")
    with temporary.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
