"""Hub and daemon with a store that speaks TLS of a private authority, has its bucket in the host name, encrypts, and
gives credentials that end: all at once, as an institution may have it."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman import Client
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home
from tests.support.s3 import KMS_KEY, S3Server
from tests.support.s3hub import s3_hub
from tests.support.s3secure import BUCKET, DOMAIN, temporary_credentials

pytestmark = [pytest.mark.slow, pytest.mark.timeout(240)]


def test_the_main_job(home: Home, secure_weed: S3Server, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for name, value in temporary_credentials(secure_weed, tmp_path, first_s=60).items():
        monkeypatch.setenv(name, value) if value else monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("SSL_CERT_FILE", str(secure_weed.ca))
    options = ["--ca-bundle", str(secure_weed.ca), "--addressing", "virtual", "--profile", "temporary"]
    options += ["--sse", "aws:kms", "--kms-key", KMS_KEY]
    sizes = {"big": 11 * MIB, "small": 1000}
    for name, size in sizes.items():
        make_file(home.data / "d" / name, size, seed=size)
    with s3_hub(
        secure_weed, *options, endpoint=f"https://{DOMAIN}:{secure_weed.port}", bucket=BUCKET, keys=False
    ) as lake:
        monkeypatch.setenv("FERRYMAN_HUB", lake.hub.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", lake.hub.token("me@x.org"))
        with Client() as client:
            project = client.create_project("P").project_id
            made = client.upload(home.data / "d", title="d", owner_type="project", owner_id=project, chunk_size_mb=5)
            got = client.download(made.asset_id, home.root / "dl")
            for file in got.files:
                path = Path(file.local_path)
                assert same_bytes(home.data / "d" / path.name, path)
            assert len(got.files) == len(sizes)
        kept = {key: size for key, size in lake.keys.items() if key.startswith("kept/")}
        assert sorted(kept.values()) == sorted(sizes.values())
        store = secure_weed.client()
        assert {store.head_object(Bucket=BUCKET, Key=key)["ServerSideEncryption"] for key in kept} == {"aws:kms"}
        # 'storage add' and the hub each began with credentials that end soon, or found them renewed.
        assert len((tmp_path / "given").read_text().split()) >= 3
