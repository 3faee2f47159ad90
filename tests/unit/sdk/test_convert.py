"""Arguments and values: what is sent, and what is refused before it is."""

from __future__ import annotations

import math
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from google.protobuf.struct_pb2 import Struct

from ferryapi.hub.v1.asset_service_pb2 import Asset
from ferryman import DaemonError, arguments
from ferryman.convert import from_struct, moment, to_struct, word


def test_metadata_round_trip_keeps_every_json_value() -> None:
    value = {
        "text": "é",
        "int": 2**53,
        "neg": -7,
        "float": 1.5,
        "no": None,
        "yes": True,
        "list": [1, [], {}],
        "d": {"x": {}},
    }
    back = from_struct(Struct.FromString(to_struct(value, "metadata").SerializeToString()))
    assert back == value
    assert type(back["int"]) is int
    assert type(back["yes"]) is bool


def test_whole_floats_come_back_as_int_and_tuples_as_lists() -> None:
    assert from_struct(to_struct({"a": 2.0, "b": (1, 2)}, "metadata")) == {"a": 2, "b": [1, 2]}


@pytest.mark.parametrize(
    ("value", "says"),
    [
        ({"k": math.nan}, "metadata['k'] is nan"),
        ({"k": [1, math.inf]}, "metadata['k'][1] is inf"),
        ({"k": 2**53 + 1}, "2**53"),
        ({"k": datetime.now(UTC)}, "datetime"),
        ({"k": b"x"}, "bytes"),
        ({"k": {1, 2}}, "set"),
        ({1: "x"}, "keys must be text"),
        ({"k": "\ud800"}, "Unicode"),
        ([("k", 1)], "must be a dict"),
    ],
)
def test_what_json_cannot_hold_is_refused_with_its_place(value: Any, says: str) -> None:
    with pytest.raises(DaemonError) as caught:
        to_struct(value, "metadata")
    assert caught.value.code == "invalid_argument"
    assert says in str(caught.value)


def test_deep_nesting_is_refused_and_what_is_allowed_can_be_read_by_protobuf() -> None:
    def nested(levels: int) -> dict[str, Any]:
        value: dict[str, Any] = {}
        for _ in range(levels):
            value = {"k": value}
        return value

    assert from_struct(Struct.FromString(to_struct(nested(29), "metadata").SerializeToString())) == nested(29)
    with pytest.raises(DaemonError, match="nested deeper"):
        to_struct(nested(31), "metadata")


def test_times_are_utc_and_absent_ones_none() -> None:
    asset = Asset()
    assert moment(asset, "create_time") is None
    asset.create_time.FromJsonString("2026-03-01T12:00:00.250Z")
    assert moment(asset, "create_time") == datetime(2026, 3, 1, 12, 0, 0, 250_000, tzinfo=UTC)


def test_an_enum_value_of_a_newer_daemon_is_named_unknown() -> None:
    assert word(Asset(state=Asset.READY), "state") == "ready"
    assert word(Asset.FromString(b"\x50\x09"), "state") == "unknown_9"


def test_paths_are_absolute_from_the_callers_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", "/home/ada")
    here = os.getcwd()
    assert arguments.local_paths("a.csv", "p") == [f"{here}/a.csv"]
    assert arguments.local_paths(Path("d"), "p") == [f"{here}/d"]
    assert arguments.local_paths(["~/x", Path("/y/")], "p") == ["/home/ada/x", "/y"]


@pytest.mark.parametrize("value", ["", "a\0b", [], 7, None, [None], [""], "caf\udce9"])
def test_a_bad_path_is_refused(value: Any) -> None:
    with pytest.raises(DaemonError) as caught:
        arguments.local_paths(value, "local_path")
    assert caught.value.code == "invalid_argument"
    assert caught.value.metadata == {"field": "local_path"}


def test_an_id_may_be_text_or_a_result() -> None:
    class Result:
        asset_id = "ast_1"

    assert arguments.reference("alias", "asset", "asset_id") == "alias"
    assert arguments.reference(Result(), "asset", "asset_id") == "ast_1"
    for wrong in ("", None, 3, object()):
        with pytest.raises(DaemonError, match="asset must be an id"):
            arguments.reference(wrong, "asset", "asset_id")


def test_tags_must_be_a_list() -> None:
    assert arguments.texts(("a", "b"), "tags") == ["a", "b"]
    for wrong in ("csv", 3, {"a": 1}, [1]):
        with pytest.raises(DaemonError, match="tags"):
            arguments.texts(wrong, "tags")


@pytest.mark.parametrize("value", [0, -1, 5121, 10**30, True, 1.5, "64"])
def test_a_number_outside_its_limits_is_refused(value: Any) -> None:
    with pytest.raises(DaemonError, match="from 1 to 5,120"):
        arguments.whole(value, "chunk_size_mb", 1, 5120)


def test_iso_times() -> None:
    assert arguments.iso_time("2026-03-01T12:00:00Z", "t") == "2026-03-01T12:00:00Z"
    assert arguments.iso_time(datetime(2026, 3, 1, tzinfo=UTC), "t") == "2026-03-01T00:00:00+00:00"
    with pytest.raises(DaemonError, match="ISO 8601"):
        arguments.iso_time("yesterday", "t")
