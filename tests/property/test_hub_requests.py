"""Whatever anybody sends to any rpc of the hub, in either encoding: an answer with a reason, never our mistake."""

from __future__ import annotations

import asyncio
import base64
import json
import tempfile
from collections.abc import Iterator
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.descriptor import Descriptor, FieldDescriptor
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import URL

from ferrywire.digest import of_blocks
from ferrywire.parts import MIB
from tests.integration.hub_rights.world import RPCS, World, request_id, world

_INTEGERS = (0, 1, -1, 2, 1000, 1001, 10_001, MIB, (1 << 31) - 1, -(1 << 31))
_LONG_INTEGERS = (*_INTEGERS, 5 << 30, 1 << 31, 1 << 53, (1 << 63) - 1, -(1 << 63))
_TEXTS = (
    "",
    " ",
    "\0",
    "a\0b",
    "/",
    "..",
    "a/../b",
    "a//b",
    "\\",
    "\u202e",
    "\ufffe",
    "İ",
    "ß",
    "ſession",
    "é",
    "e\u0301",
    "\U0010ffff",
    "x" * 256,
    "%s%n{0}",
    "' OR 1=1 --",
    "2026-02-30",
    "2026-01-01T25:00:00Z",
    "derived_from",
    "project",
    "user",
    "owner",
    "viewer",
    "owner@x.org",
    "title",
    "metadata.k",
    "AST_01JD0000000000000000000000",
    "ast_01JD0000000000000000000000",
    "upl_01JD0000000000000000000000",
)
_NUMBERS = (0.0, -0.0, 1.5, 1e308, 5e-324, float("nan"), float("inf"), float("-inf"), 2.0**53 + 2, -1e300)


class _Hub:
    """A hub for the whole module and an event loop to call it in: Hypothesis wants plain functions."""

    def __init__(self, root: Path, database: URL | None) -> None:
        self._runner = asyncio.Runner()
        self._stack = AsyncExitStack()
        self.world: World = self._runner.run(self._stack.enter_async_context(world(root, database)))
        self.ids = self._runner.run(_some_ids(self.world))

    def send(self, rpc: str, body: bytes, *, as_json: bool) -> Any:
        return self._runner.run(self.world.send(rpc, "owner", body, as_json=as_json))

    def call(self, rpc: str, *, as_json: bool = True, **request: Any) -> Any:
        if not as_json:
            return self._runner.run(self.world.call(rpc, "owner", request))
        return self.send(rpc, json.dumps(request).encode(), as_json=True)

    def close(self) -> None:
        self._runner.run(self._stack.aclose())
        self._runner.close()


async def _some_ids(hub: World) -> tuple[str, ...]:
    """Ids that exist, so that requests get past the look-up."""
    project = await hub.ok("ProjectService/CreateProject", "owner", name="P", alias="known")
    new = {"title": "A", "owner_type": "project", "owner_id": project.project_id, "alias": "data"}
    upload = {"files": [{"path": "f", "size_bytes": 3, "part_size_bytes": MIB}], "total_size_bytes": 3}
    session = await hub.ok(
        "ContentService/CreateUpload", "owner", new_asset=new, total_file_count=2, request_id=request_id(), **upload
    )
    return project.project_id, project.root_collection_id, "known", "data", session.asset_id, session.session_id


@pytest.fixture(scope="module")
def hub(hub_database: URL | None) -> Iterator[_Hub]:
    with tempfile.TemporaryDirectory() as root:
        made = _Hub(Path(root) / "hub", hub_database)
        yield made
        made.close()


def _ready_upload(hub: _Hub, value: Any) -> dict[str, Any]:
    new = {"title": "A", "owner_type": "project", "owner_id": hub.ids[0], "metadata": {"k": value}}
    files = [{"path": "f", "part_size_bytes": MIB}]
    return {"new_asset": new, "files": files, "total_file_count": 1, "request_id": request_id()}


def _value(field: FieldDescriptor, texts: st.SearchStrategy[str], depth: int) -> st.SearchStrategy[Any]:
    kinds = FieldDescriptor
    if field.type == kinds.TYPE_STRING:
        return texts
    if field.type == kinds.TYPE_BYTES:
        return st.sampled_from((b"", b"\0" * 16, b"\xff" * 15, b"x" * 32)) | st.binary(max_size=40)
    if field.type == kinds.TYPE_BOOL:
        return st.booleans()
    if field.type in (kinds.TYPE_DOUBLE, kinds.TYPE_FLOAT):
        return st.sampled_from(_NUMBERS)
    if field.type in (kinds.TYPE_INT64, kinds.TYPE_SINT64):
        return st.sampled_from(_LONG_INTEGERS)
    if field.type == kinds.TYPE_ENUM:
        return st.sampled_from((0, 1, 2, 3, 99))
    if field.type == kinds.TYPE_MESSAGE:
        return _message(field.message_type, texts, depth - 1)
    return st.sampled_from(_INTEGERS)


@st.composite
def _message(draw: st.DrawFn, descriptor: Descriptor, texts: st.SearchStrategy[str], depth: int) -> Message:
    """Any message of a type, its fields left out or hostile."""
    made = GetMessageClass(descriptor)()
    for field in descriptor.fields:
        if depth <= 0 or not draw(st.integers(0, 3)):
            continue
        if field.message_type is not None and field.message_type.GetOptions().map_entry:
            entry = field.message_type.fields_by_name["value"]
            for key in draw(st.lists(texts, max_size=2)):
                getattr(made, field.name)[key].CopyFrom(draw(_value(entry, texts, depth - 1)))
        elif field.is_repeated:
            getattr(made, field.name).extend(draw(st.lists(_value(field, texts, depth), max_size=3)))
        elif field.type == FieldDescriptor.TYPE_MESSAGE:
            getattr(made, field.name).CopyFrom(draw(_value(field, texts, depth)))
        else:
            setattr(made, field.name, draw(_value(field, texts, depth)))
    return made


@pytest.mark.slow
@pytest.mark.parametrize("rpc", sorted(RPCS))
def test_any_message(hub: _Hub, rpc: str) -> None:
    long = st.integers(254, 80_000).map(lambda length: "x" * length)
    texts = long | st.sampled_from((*hub.ids, *_TEXTS)) | st.sampled_from(hub.ids) | st.text(max_size=20)

    @settings(max_examples=40, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(message=_message(RPCS[rpc].input_type, texts, 5), as_json=st.booleans())
    def answered(message: Message, as_json: bool) -> None:
        try:
            body = json_format.MessageToJson(message).encode() if as_json else message.SerializeToString()
        except (json_format.SerializeToJsonError, ValueError):
            return  # JSON has no form for it, such as an Infinity
        reply = hub.send(rpc, body, as_json=as_json)
        assert reply.status < 500, reply
        assert not reply.reason.startswith("no reason"), reply

    answered()


_JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8) | st.sampled_from(_TEXTS),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


@pytest.mark.slow
@pytest.mark.parametrize("rpc", sorted(RPCS))
def test_any_json(hub: _Hub, rpc: str) -> None:
    """Values of the wrong type in the right fields, and bodies that are no JSON."""
    names = [field.json_name for field in RPCS[rpc].input_type.fields]
    bodies = st.dictionaries(st.sampled_from([*names, "nonsense"]), _JSON_VALUES, max_size=4)

    @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck), database=None)
    @given(body=bodies.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=50))
    def answered(body: bytes) -> None:
        reply = hub.send(rpc, body, as_json=True)
        assert reply.status < 500, (body[:300], reply)
        assert not reply.reason.startswith("no reason"), reply

    answered()


_SPECIAL = {
    "deep lists": b'{"asset":{"assetId":"data","metadata":{"k":'
    + b"[" * 5000
    + b"]" * 5000
    + b'}},"updateMask":"metadata"}',
    "deep objects": b'{"asset":{"metadata":' + b'{"k":' * 5000 + b"1" + b"}" * 5000 + b'},"updateMask":"metadata"}',
    "very deep": b"[" * 200_000,
    "lone surrogate": b'{"asset":{"assetId":"data","title":"\\ud800"},"updateMask":"title"}',
    "surrogate key": b'{"asset":{"assetId":"data","metadata":{"\\udfff":1}},"updateMask":"metadata"}',
    "invalid utf-8": b'{"asset":{"assetId":"\xff"}}',
    "huge integer": b'{"asset":{"assetId":"data","sizeBytes":' + b"9" * 5000 + b'},"updateMask":"title"}',
    "huge number": b'{"asset":{"assetId":"data","metadata":{"k":' + b"9" * 5000 + b'}},"updateMask":"metadata"}',
    "million tags": b'{"asset":{"assetId":"data","tags":['
    + ",".join(f'"{n}"' for n in range(1_000_000)).encode()
    + b']},"updateMask":"tags"}',
    "odd mask": b'{"asset":{"assetId":"data"},"updateMask":"metadata.k,title,,"}',
    "mask of wrong type": b'{"asset":{"assetId":"data"},"updateMask":{"paths":["title"]}}',
    "same key twice": b'{"asset":{"assetId":"data","title":"a","title":"b"},"updateMask":"title"}',
    "nothing": b"",
    "null": b"null",
    "a list": b"[]",
    "a byte order mark": b'\xef\xbb\xbf{"asset":{}}',
}


@pytest.mark.parametrize("shape", ['{"k":%s}', "[%s]", '[{"k":%s}]'])
@pytest.mark.parametrize("levels", [28, 29, 30, 31, 33, 47, 60])
def test_metadata_that_was_taken_can_be_given_out(hub: _Hub, shape: str, levels: int) -> None:
    """JSON may nest further than a binary message: what one caller could send, all the others must be able to read."""
    value = "1"
    for _ in range(levels):
        value = shape.replace("%s", value)
    session = hub.call("ContentService/CreateUpload", **_ready_upload(hub, json.loads(value)))
    if session.reason:
        assert (session.reason, session.status) == ("INVALID_ARGUMENT", 400)
        return
    digests = base64.b64encode(of_blocks(b"")).decode()
    made = hub.call("ContentService/CommitUpload", session_id=session.body.session_id, file_digests=digests)
    asset_id = made.body.asset_id
    for as_json in (True, False):
        assert hub.call("AssetService/GetAsset", as_json=as_json, asset_id=asset_id).reason == ""
        listed = hub.call("AssetService/ListAssets", as_json=as_json, page_size=1000)
        assert asset_id in {asset.asset_id for asset in listed.body.assets}


def test_an_error_about_a_long_text_fits_into_a_trailer(hub: _Hub) -> None:
    reply = hub.call("AssetService/GetAsset", asset_id="é" * 100_000)
    assert reply.reason == "ASSET_NOT_FOUND"
    assert len(json.dumps(reply.body)) < 8192


@pytest.mark.parametrize("name", sorted(_SPECIAL))
def test_special_json(hub: _Hub, name: str) -> None:
    reply = hub.send("AssetService/UpdateAsset", _SPECIAL[name], as_json=True)
    assert (reply.status, reply.reason) != (200, ""), reply
    assert reply.status in (400, 404), reply
