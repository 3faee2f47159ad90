"""What only a real S3 store says when the hub's clock or rights are wrong, and of very many parts."""

from __future__ import annotations

import time
from collections.abc import Callable
from datetime import timedelta

import httpx
import pytest
from botocore.compat import get_current_datetime as now

from ferryd.lanes.replies import Reply, error_of
from ferryhub.blobs.s3 import S3BlobStore
from ferryhub.blobs.store import Gap, PartPut, StagedFile
from ferrywire.ids import new_id
from ferrywire.parts import MIB, part_span
from ferrywire.reasons import FerryError
from tests.contract.test_s3_store import S3Rig, crc, send
from tests.support.s3 import S3Server

pytestmark = pytest.mark.slow

#: More than a page of ListParts.
MANY = 1001


@pytest.fixture
def rig(weed_server: S3Server, monkeypatch: pytest.MonkeyPatch) -> S3Rig:
    for name, value in weed_server.env.items():
        monkeypatch.setenv(name, value)
    return S3Rig(weed_server)


@pytest.mark.parametrize("minutes", [-60, 60])
def test_a_hub_whose_clock_is_wrong(rig: S3Rig, monkeypatch: pytest.MonkeyPatch, minutes: int) -> None:
    for module in ("botocore.auth", "botocore.crt.auth"):
        monkeypatch.setattr(f"{module}.get_current_datetime", lambda **how: now(**how) + timedelta(minutes=minutes))
    gmtime = time.gmtime
    wrong = lambda at=None: gmtime((time.time() if at is None else at) + 60 * minutes)  # noqa: E731
    monkeypatch.setattr("ferryhub.blobs.s3sign.time.gmtime", wrong)
    with pytest.raises(FerryError) as caught:
        list(rig.store().blobs())
    assert (caught.value.reason, caught.value.retryable) == ("HUB_OVERLOADED", True)
    assert "RequestTimeTooSkewed" in caught.value.message
    assert "operator" in caught.value.message
    to, piece = rig.location(rig.new(MIB), bytes(MIB), 1)
    status, code = send(to, piece)
    if minutes < 0:  # one from the future SeaweedFS takes, and the hub's own calls have said it all
        body = f"<Error><Code>{code}</Code></Error>".encode()
        assert status == 403
        assert error_of(Reply("PUT", "https://store", status, {}, body)).reason == "SIGNATURE_INVALID"


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"AWS_SECRET_ACCESS_KEY": "wrong"}, "SignatureDoesNotMatch"),
        ({"AWS_ACCESS_KEY_ID": "nobody"}, "InvalidAccessKeyId"),
    ],
)
def test_keys_that_the_store_does_not_take(
    rig: S3Rig, monkeypatch: pytest.MonkeyPatch, change: dict[str, str], says: str
) -> None:
    for name, value in change.items():
        monkeypatch.setenv(name, value)
    store = S3BlobStore(rig.options, 60)
    file = rig.new(2 * rig.part)
    calls: tuple[Callable[[], object], ...] = (
        lambda: store.begin(file),
        lambda: store.publish([file]),
        lambda: store.discard(file.session_id),
        lambda: store.delete(file.key),
        lambda: list(store.sessions()),
        lambda: store.open_blob(file.key),
    )
    for call in calls[:1] + calls[2:5]:
        with pytest.raises(FerryError, match="its operator must mend that") as caught:
            call()
        assert (caught.value.reason, says in caught.value.message) == ("HUB_OVERLOADED", True)
        assert file.key not in caught.value.message
    store.close()


@pytest.mark.parametrize("kind", ["weed_server", "rclone_server"])
def test_more_parts_than_a_page(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, kind: str) -> None:
    server: S3Server = request.getfixturevalue(kind)
    for name, value in server.env.items():
        monkeypatch.setenv(name, value)
    rig = S3Rig(server)
    rig.url_ttl_s = 600
    file = StagedFile(new_id("upl"), 0, 1024 * MANY, 1024)
    file = StagedFile(file.session_id, 0, file.size_bytes, 1024, rig.store().begin(file))
    pieces = [number.to_bytes(4, "big") * 256 for number in range(1, MANY + 1)]
    puts = [
        PartPut(file, number, part_span(file.size_bytes, 1024, number)[1], crc(piece))
        for number, piece in enumerate(pieces, 1)
    ]
    with httpx.Client() as client:
        for to, piece in zip(rig.store().put_urls(puts)[:-1], pieces[:-1], strict=True):
            assert client.put(to.url, content=piece, headers=to.headers).status_code == 200
    assert rig.store().publish([file]) == [Gap(file, (MANY,))]
    assert send(rig.store().put_urls(puts)[-1], pieces[-1])[0] == 200
    if kind == "weed_server":  # as AWS, it wants parts of 5 MiB, and says so after it has seen all of them
        with pytest.raises(FerryError, match="larger parts"):
            rig.store().publish([file])
    else:
        assert rig.store().publish([file]) == []
        reader = rig.store().open_blob(file.key)
        assert reader is not None
        assert reader.read(0, file.size_bytes) == b"".join(pieces)
    rig.close()
