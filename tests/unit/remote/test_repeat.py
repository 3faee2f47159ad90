"""Forwarded calls that got lost: which are sent again, and what is said of those whose outcome nobody knows."""

from __future__ import annotations

import importlib
import pkgutil
from dataclasses import dataclass, field

import pytest

import ferryapi.hub.v1
from ferryapi.hub.v1 import project_service_pb2, relationship_service_pb2
from ferryd.remote.blips import Blips
from ferryd.remote.repeat import RepeatingTransport, repeatable
from ferryd.rpc.forward import SERVICES
from ferrywire.reasons import FerryError
from tests.unit.remote.test_client import LOST, FastClock

V1 = "/ferryapi.hub.v1"
GET = f"{V1}.AssetService/GetAsset"
CREATE = f"{V1}.ProjectService/CreateProject"
DELETE = f"{V1}.RelationshipService/DeleteRelationship"
UPDATE = f"{V1}.AssetService/UpdateAsset"
SET = f"{V1}.AccessService/SetGrant"
WITH_ID = project_service_pb2.CreateProjectRequest(name="P", request_id="r").SerializeToString()
WITHOUT_ID = project_service_pb2.CreateProjectRequest(name="P").SerializeToString()
GONE = FerryError("RELATIONSHIP_NOT_FOUND", "there is no link rel_1", relationshipId="rel_1")


@dataclass
class Script:
    """A transport: each call takes the next answer."""

    answers: list[bytes | FerryError]
    budgets_s: list[float] = field(default_factory=list)

    async def call(self, method_path: str, body: bytes, timeout_s: float) -> bytes:
        self.budgets_s.append(timeout_s)
        answer = self.answers.pop(0)
        if isinstance(answer, FerryError):
            raise answer
        return answer

    async def close(self) -> None:
        pass


def repeating(script: Script) -> RepeatingTransport:
    return RepeatingTransport(script, Blips(FastClock(), jitter=lambda: 1.0))


@pytest.mark.parametrize(("path", "body"), [(GET, b""), (CREATE, WITH_ID), (DELETE, b""), (UPDATE, b"")])
async def test_a_lost_call_is_sent_again_within_its_deadline(path: str, body: bytes) -> None:
    script = Script([LOST, LOST, b"reply"])
    assert await repeating(script).call(path, body, 10.0) == b"reply"
    assert script.budgets_s == pytest.approx([10.0, 9.8, 9.4])


async def test_not_after_its_deadline() -> None:
    script = Script([LOST, LOST, b"reply"])
    with pytest.raises(FerryError) as caught:
        await repeating(script).call(GET, b"", 0.5)
    assert caught.value is LOST
    assert script.budgets_s == pytest.approx([0.5, 0.3])


async def test_not_for_ever() -> None:
    script = Script([LOST] * 9)
    with pytest.raises(FerryError) as caught:
        await repeating(script).call(GET, b"", 10.0)
    assert caught.value is LOST
    assert len(script.budgets_s) == 3


@pytest.mark.parametrize("body", [WITHOUT_ID, b"\xff\xff"])
async def test_a_creation_without_its_id_is_not_sent_twice(body: bytes) -> None:
    script = Script([LOST, b"reply"])
    with pytest.raises(FerryError) as caught:
        await repeating(script).call(CREATE, body, 10.0)
    assert caught.value is LOST
    assert len(script.budgets_s) == 1


async def test_what_the_hub_has_answered_is_not_asked_again() -> None:
    script = Script([GONE, b"reply"])
    with pytest.raises(FerryError) as caught:
        await repeating(script).call(DELETE, b"", 10.0)
    assert caught.value is GONE


@pytest.mark.parametrize(
    ("path", "said"),
    [
        (DELETE, GONE),
        (UPDATE, FerryError("ETAG_MISMATCH", "it has changed")),
        # The first one took the right to do it away: an owner who made himself a viewer.
        (SET, FerryError("PERMISSION_DENIED", "you may not do that")),
    ],
)
async def test_a_change_that_may_have_been_done_is_not_said_to_be_refused(path: str, said: FerryError) -> None:
    with pytest.raises(FerryError) as caught:
        await repeating(Script([LOST, said])).call(path, b"", 10.0)
    error = caught.value
    assert (error.reason, error.retryable, error.metadata) == ("HUB_UNREACHABLE", True, LOST.metadata)
    assert "may have been done" in error.message
    assert said.message in error.message


async def test_a_read_that_is_refused_when_asked_again_is_refused() -> None:
    with pytest.raises(FerryError) as caught:
        await repeating(Script([LOST, GONE])).call(GET, b"", 10.0)
    assert caught.value is GONE


def test_of_every_call_it_is_known_whether_it_can_be_sent_twice() -> None:
    """A new call of the catalogue is decided here."""
    once = {
        "CreateProject": "without request_id",
        "CreateCollection": "without request_id",
        "CreateRelationship": "without request_id",
        "CreateUpload": "without request_id",
        "AddUploadFiles": "the engine's",
        "SignParts": "the engine's",
        "RecordParts": "the engine's",
        "CommitUpload": "the engine's",
        "AbortUpload": "the engine's",
    }
    paths = set()
    for found in pkgutil.iter_modules(ferryapi.hub.v1.__path__):
        if found.name.endswith("_service_pb2"):
            descriptor = importlib.import_module(f"ferryapi.hub.v1.{found.name}").DESCRIPTOR
            for service in descriptor.services_by_name.values():
                assert service.full_name in SERVICES
                paths |= {f"/{service.full_name}/{method.name}" for method in service.methods}
    assert {path.rpartition("/")[2] for path in paths if not repeatable(path, b"")} == once.keys()
    assert repeatable(f"{V1}.RelationshipService/CreateRelationship", _with_id())


def _with_id() -> bytes:
    return relationship_service_pb2.CreateRelationshipRequest(request_id="r").SerializeToString()
