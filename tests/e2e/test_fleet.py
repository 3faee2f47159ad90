"""Three hubs behind a round-robin proxy, on PostgreSQL and an S3 store: the main job, while hubs are killed."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import URL

from ferryman import Client
from tests.support.files import MIB, make_file, same_bytes
from tests.support.fleet import Fleet, fleet
from tests.support.home import Home
from tests.support.s3 import S3Server
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

PART = 5 * MIB


@pytest.fixture
def hubs(weed_server: S3Server, postgres_url: URL, home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Fleet]:
    with fleet(weed_server, postgres_url) as three:
        monkeypatch.setenv("FERRYMAN_HUB", three.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", three.token("me@x.org"))
        yield three


def test_each_call_may_meet_another_hub(home: Home, hubs: Fleet) -> None:
    path = make_file(home.data / "f", 2 * PART + 1)
    with Client() as client:
        project = client.create_project("P").project_id
        for title in ("a", "b", "c"):
            hubs.proxy.cut()  # the next call gets a connection of its own
            result = client.upload(path, title=title, owner_type="project", owner_id=project)
            hubs.proxy.cut()
            got = client.download(result.asset_id, home.root / title)
            assert same_bytes(path, Path(got.files[0].local_path))
    assert all(hubs.proxy.given.values()), hubs.proxy.given


def test_the_main_job_while_hubs_are_killed(home: Home, hubs: Fleet) -> None:
    sources = [make_file(home.data / f"run{number}", 4 * PART + number, seed=number) for number in range(6)]
    with Client() as client:
        project = client.create_project("P").project_id
        client.transfers.set_limits(bandwidth_bps=8 * MIB)
        with hubs.dying(every_s=2):
            uploads = [
                client.transfers.upload(path, title=path.name, owner_type="project", owner_id=project, chunk_size_mb=5)
                for path in sources
            ]
            assets = [upload.wait(timeout_s=120).asset_id for upload in uploads]
            downloads = [client.transfers.download(asset, home.root / "dl") for asset in assets]
            for path, download in zip(sources, downloads, strict=True):
                (file,) = download.wait(timeout_s=120).files
                assert same_bytes(path, Path(file.local_path))
            wait_for(lambda: hubs.kills >= 3, what="some kills")
        client.create_relationship(assets[0], assets[1], "derived_from")
        client.set_metadata(assets[0], metadata={"run": 1})
        assert client.get_metadata(assets[0]).metadata == {"run": 1}
        assert {asset.title for asset in client.assets.list(project=project)} == {path.name for path in sources}
    assert all(hubs.proxy.given.values()), hubs.proxy.given
