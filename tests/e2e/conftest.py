"""What every end-to-end test starts from: a home where nothing runs, and a client of it."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.configurations import Configuration
from tests.support.home import Home

Person = Callable[..., Client]


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


@pytest.fixture
def person(configuration: Configuration, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """`person("b@x.org", "read")`: a client whose daemon has a home of its own and is signed in as that person, with
    these scopes. Not where it is embedded: there is one person."""
    service, home = configuration.service, configuration.home
    assert service is not None
    with ExitStack() as stack:

        def make(email: str, *scopes: str) -> Client:
            name = email.partition("@")[0]
            for kind in ("STATE", "RUNTIME", "CONFIG"):
                directory = home.root / f"{name}-{kind.lower()}"
                directory.mkdir(mode=0o700)
                monkeypatch.setenv(f"FERRYMAN_{kind}_DIR", str(directory))
            monkeypatch.setenv("FERRYMAN_TOKEN", service.hubs.token(email, *scopes))
            client = stack.enter_context(Client())
            client.connect()
            stack.callback(client.daemon.shutdown)
            return client

        yield make
