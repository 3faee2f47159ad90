"""S02 and S07 with several people: a hub of its own, a daemon and a token for each."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from ferryman import Client, DaemonError
from tests.support.home import Home
from tests.support.hubs import HubServer

pytestmark = pytest.mark.slow

Person = Callable[..., Client]


@pytest.fixture
def person(home: Home, hub_server: HubServer, monkeypatch: pytest.MonkeyPatch) -> Iterator[Person]:
    """`person("b@x.org", "read")`: a client whose daemon is signed in as that person, with these scopes."""
    with ExitStack() as stack:

        def make(email: str, *scopes: str) -> Client:
            name = email.partition("@")[0] + "".join(scopes)
            for kind in ("STATE", "RUNTIME", "CONFIG"):
                directory = home.root / f"{name}-{kind.lower()}"
                directory.mkdir(mode=0o700)
                monkeypatch.setenv(f"FERRYMAN_{kind}_DIR", str(directory))
            monkeypatch.setenv("FERRYMAN_HUB", hub_server.url)
            monkeypatch.setenv("FERRYMAN_TOKEN", hub_server.token(email, *scopes))
            client = stack.enter_context(Client())
            client.connect()
            stack.callback(client.daemon.shutdown)
            return client

        yield make


def code_of(error: pytest.ExceptionInfo[DaemonError]) -> tuple[str, str]:
    return error.value.code, error.value.reason


def test_s02_a_read_only_token_leaves_nothing_behind(person: Person) -> None:
    reader = person("a@x.org", "read")
    with pytest.raises(DaemonError) as caught:
        reader.create_project("P")
    assert code_of(caught) == ("permission_denied", "SCOPE_DENIED")
    assert list(reader.projects.list()) == []
    assert reader.auth_status().user_email == "a@x.org"


def test_s07_a_link_needs_write_on_its_source_and_read_on_its_target(person: Person, table: Path) -> None:
    a, b = person("a@x.org"), person("b@x.org")
    theirs = a.create_project("Raw").project_id
    raw = a.upload(table, title="Raw", owner_type="project", owner_id=theirs).asset_id
    mine = b.create_project("Own").project_id
    own = b.upload(table, title="Own", owner_type="project", owner_id=mine).asset_id

    with pytest.raises(DaemonError) as caught:  # nobody gave B anything
        b.create_relationship(own, raw, "derived_from")
    assert code_of(caught) == ("not_found", "ASSET_NOT_FOUND")

    a.grants.set(raw, "b@x.org", "viewer")
    assert b.create_relationship(own, raw, "derived_from").to_asset_id == raw
    with pytest.raises(DaemonError) as caught:
        b.create_relationship(raw, own, "derived_from")
    assert code_of(caught) == ("permission_denied", "PERMISSION_DENIED")
    [link] = a.relationships.list(raw, direction="in")
    assert link.related_asset is None  # A may not see B's asset
