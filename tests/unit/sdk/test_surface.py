"""The public surface: small to import, the same in both clients, and documented."""

from __future__ import annotations

import inspect
import subprocess
import sys
from typing import Any

import pytest

import ferryman
from ferryman import (
    aio,
    assets,
    auth,
    client,
    collections,
    contents,
    contexts,
    daemon,
    grants,
    handles,
    projects,
    relationships,
    transfers,
)

TWINS = [
    (client.Client, aio.AsyncClient),
    (handles.Transfer, handles.AsyncTransfer),
    (projects.Projects, projects.AsyncProjects),
    (collections.Collections, collections.AsyncCollections),
    (assets.Assets, assets.AsyncAssets),
    (contents.Contents, contents.AsyncContents),
    (relationships.Relationships, relationships.AsyncRelationships),
    (grants.Grants, grants.AsyncGrants),
    (transfers.Transfers, transfers.AsyncTransfers),
    (daemon.Daemon, daemon.AsyncDaemon),
    (auth.Auth, auth.AsyncAuth),
    (contexts.Contexts, contexts.AsyncContexts),
]


def _public(kind: type[Any]) -> dict[str, Any]:
    return {name: value for name, value in inspect.getmembers(kind) if not name.startswith("_")}


def _python(code: str) -> str:
    return subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True).stdout.strip()


@pytest.mark.parametrize("twins", TWINS, ids=lambda pair: pair[0].__name__)
def test_both_clients_have_the_same_calls_with_the_same_arguments(twins: tuple[type[Any], type[Any]]) -> None:
    blocking, awaited = map(_public, twins)
    assert blocking.keys() == awaited.keys()
    for name in blocking:
        if callable(blocking[name]):
            one, other = (list(inspect.signature(kind[name]).parameters.values())[1:] for kind in (blocking, awaited))
            assert one == other, name


@pytest.mark.parametrize("twins", TWINS, ids=lambda pair: pair[0].__name__)
def test_every_public_name_is_documented_and_blocking_calls_show_an_example(
    twins: tuple[type[Any], type[Any]],
) -> None:
    for kind in twins:
        assert kind.__doc__
        assert "Example:" in kind.__doc__
        for name, value in _public(kind).items():
            assert inspect.getdoc(value), f"{kind.__name__}.{name}"
    for name, value in _public(twins[0]).items():
        if callable(value):
            assert "Example:" in (inspect.getdoc(value) or ""), f"{twins[0].__name__}.{name}"


def test_every_exported_name_exists_and_is_documented() -> None:
    for name in ferryman.__all__:
        assert getattr(ferryman, name).__doc__, name
    assert set(ferryman.__all__) <= set(dir(ferryman))
    with pytest.raises(AttributeError, match="no_such"):
        ferryman.no_such  # noqa: B018


def test_the_seven_calls_have_the_arguments_and_defaults_of_the_page() -> None:
    def keywords(call: Any) -> dict[str, Any]:
        parameters = inspect.signature(call).parameters.values()
        return {
            parameter.name: parameter.default for parameter in parameters if parameter.kind is parameter.KEYWORD_ONLY
        }

    assert keywords(ferryman.Client) == {
        "socket_path": None,
        "binary_path": None,
        "auto_start": True,
        "start_timeout_s": 10.0,
        "request_timeout_s": 30.0,
    }
    upload = keywords(ferryman.Client.upload)
    assert list(upload)[:11] == [
        "title",
        "owner_type",
        "owner_id",
        "description",
        "alias",
        "tags",
        "metadata",
        "collection_id",
        "chunk_size_mb",
        "on_progress",
        "transfer_timeout_s",
    ]
    assert upload["transfer_timeout_s"] == 3600
    assert str(inspect.signature(ferryman.Client.create_project)).startswith(
        "(self, name: 'str', *, description: 'str' = '')"
    )
    assert list(inspect.signature(ferryman.Client.create_relationship).parameters)[1:] == [
        "from_asset_id",
        "to_asset_id",
        "rel_type",
        "relationship_type",
        "analysis_mode",
        "qualifier_note",
        "qualifier_time",
        "qualifiers",
    ]
    assert [f.name for f in ferryman.ProgressEvent.__dataclass_fields__.values()] == [
        "transfer_id",
        "bytes_done",
        "bytes_total",
        "chunk_index",
        "chunk_count",
        "rate_bps",
        "file_index",
        "file_name",
    ]


def test_importing_and_constructing_a_client_imports_neither_grpc_nor_protobuf() -> None:
    heavy = "grpc google.protobuf ferryapi asyncio xxhash httpx ferryd ferryhub"
    found = f"print([m for m in {heavy.split()!r} if m in sys.modules])"
    assert _python(f"import sys; from ferryman import Client, DaemonError; Client(); {found}") == "[]"
    # Before a daemon is looked for: everybody waits for these, and a cold start the longest.
    early = ["tempfile", "shutil", "random", "uuid", "inspect", "dataclasses", "platform"]
    found = f"print([m for m in {early} if m in sys.modules])"
    assert _python(f"import sys; import ferryman.channel; from ferryman import Client; Client(); {found}") == "[]"
    own = "print([m for m in sys.modules if m.startswith('ferryman.')])"
    assert _python(f"import sys; import ferryman; {own}") == "[]"


def test_a_program_that_only_uploads_imports_neither_the_catalogues_types_nor_errors() -> None:
    code = (
        "import sys, ferryman.wire, ferryman.auth, ferryman.handles, ferryman.transfer_calls\n"
        "print([m for m in ('ferryman.types', 'google.rpc.error_details_pb2', 'ferrywire.status') if m in sys.modules])"
    )
    assert _python(code) == "[]"


def test_a_connected_client_never_imports_hashing_or_http() -> None:
    code = (
        "import sys, ferryman.wire\n"
        "from ferryman import projects, assets, contents, relationships, grants, transfers\n"
        "from ferryman import daemon, collections, auth, contexts\n"
        "print([m for m in ('xxhash', 'httpx', 'ferrywire.digest', 'ferryd', 'ferryhub') if m in sys.modules])"
    )
    assert _python(code) == "[]"
