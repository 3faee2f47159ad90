"""What every end-to-end test starts from: a home where nothing runs, and a client of it."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.home import Home


@pytest.fixture
def client(home: Home) -> Iterator[Client]:
    """A client; its first call starts the daemon."""
    with Client() as client:
        yield client


@pytest.fixture
def project_id(client: Client) -> str:
    """A project to upload into."""
    return client.create_project("Test project").project_id


@pytest.fixture
def table(home: Home) -> Path:
    """A small file."""
    path = home.data / "data.csv"
    path.write_bytes(b"a,b\n1,2\n")
    return path
