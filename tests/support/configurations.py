"""The three ways to run it that the main job's tests take: embedded; one hub on PostgreSQL and an S3 store; three of
them behind a round-robin proxy, one of them killed every few seconds.

A module whose tests run in all of them says `pytestmark = pytest.mark.usefixtures("configuration")`. What is started
is started once per test process, when a test first asks for it.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import pytest

from tests.support.fleet import Fleet, fleet
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.postgres import Postgres
from tests.support.s3 import S3Server

EMBEDDED, HUB, FLEET = "embedded", "hub", "fleet"
#: A hub in a process of its own that keeps everything on its disk: for tests that ask for it.
REMOTE = "remote"
#: From when a killed hub is back to when the next one is killed.
KILL_EVERY_S: Final = 3.0
#: Whoever starts servers comes first, and all of one kind together: then one worker of xdist runs them all.
_ORDER: Final = (FLEET, HUB)
_ALL: Final = (EMBEDDED, HUB, FLEET)


def only(*names: str, because: str = "") -> pytest.MarkDecorator:
    """The mark of a test that runs in these configurations. The reason is for readers, where some are left out."""
    assert because or set(names) >= set(_ALL)
    slow = {name: [pytest.mark.slow] if name in _ORDER else [] for name in names}
    params = [pytest.param(name, marks=marks) for name, marks in slow.items()]
    return pytest.mark.parametrize("configuration", params, indirect=True)


@dataclass(frozen=True)
class Service:
    """Hubs that tests share, and where they keep their bytes."""

    hubs: Fleet
    store: S3Server
    #: Set while a test runs.
    used: threading.Event = field(default_factory=threading.Event)


@dataclass(frozen=True)
class Configuration:
    """What a test runs in. `service` is None where it is embedded."""

    name: str
    home: Home
    service: Service | None = None

    def unfinished(self) -> set[str]:
        """The uploads of which bytes are kept that belong to no asset."""
        if self.service is None:
            return {path.parent.name for path in (self.home.state_dir / "hub/blobs/uploads").glob("*/*")}
        return {upload for _, upload in self.service.store.uploads(self.service.hubs.bucket)}


@pytest.fixture(scope="session")
def hub_service(weed_server: S3Server, postgres: Postgres) -> Iterator[Service]:
    """One hub on PostgreSQL and SeaweedFS."""
    with fleet(weed_server, postgres.new_database(), hubs=1) as one:
        yield Service(one, weed_server)


@pytest.fixture(scope="session")
def fleet_service(weed_server: S3Server, postgres: Postgres) -> Iterator[Service]:
    """Three hubs on the same. While a test uses them, one after the other is killed and started again."""
    with fleet(weed_server, postgres.new_database()) as three, three.dying(every_s=KILL_EVERY_S) as dying:
        dying.clear()
        yield Service(three, weed_server, dying)


@pytest.fixture(
    params=[EMBEDDED, pytest.param(HUB, marks=pytest.mark.slow), pytest.param(FLEET, marks=pytest.mark.slow)]
)
def configuration(
    request: pytest.FixtureRequest, home: Home, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Configuration]:
    """Every program of this test belongs to the hubs of one configuration, as a person who is new there."""
    if request.param == EMBEDDED:
        yield Configuration(EMBEDDED, home)
        return
    fixture = request.getfixturevalue("hub_server" if request.param == REMOTE else f"{request.param}_service")
    hub: HubServer | Fleet = fixture.hubs if isinstance(fixture, Service) else fixture
    for variable, value in {"FERRYMAN_HUB": hub.url, "FERRYMAN_TOKEN": hub.token(f"{home.root.name}@x.org")}.items():
        home.extra_env[variable] = value
        monkeypatch.setenv(variable, value)
    if not isinstance(fixture, Service):
        yield Configuration(request.param, home)
        return
    fixture.used.set()
    yield Configuration(request.param, home, fixture)
    fixture.used.clear()


def in_order(items: list[pytest.Item]) -> None:
    """Sort collected tests so that those on the same servers are together."""
    items.sort(key=_rank)


def _rank(item: pytest.Item) -> int:
    callspec = getattr(item, "callspec", None)
    name = callspec.params.get("configuration") if callspec else None
    if "fleet_service" in getattr(item, "fixturenames", ()):
        name = FLEET
    return _ORDER.index(name) if name in _ORDER else len(_ORDER)
