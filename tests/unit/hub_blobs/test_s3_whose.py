"""A request of the hub's to its S3 store says for which request of ours it is made, whichever thread sends it."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from ferryhub.blobs.s3 import S3BlobStore
from ferryhub.blobs.s3client import S3Options
from ferryhub.blobs.store import StagedFile
from ferryhub.blobs.threads import StoreThreads
from ferryhub.logs import request_id
from ferrywire import tracing
from ferrywire.ids import new_id
from ferrywire.parts import MIB
from tests.support.byte_server import Behaviour, ByteServer, answer

LISTED = b"<ListMultipartUploadsResult><IsTruncated>false</IsTruncated>%b</ListMultipartUploadsResult>"
UPLOAD = "<Upload><Key>{}</Key><UploadId>{}</UploadId><Initiated>2026-01-01T00:00:00Z</Initiated></Upload>"


@pytest.fixture
def server(monkeypatch: pytest.MonkeyPatch) -> Iterator[ByteServer]:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "the-secret-itself")
    with ByteServer() as made:
        yield made


@pytest.fixture
def store(server: ByteServer) -> Iterator[S3BlobStore]:
    made = S3BlobStore(S3Options("lake", endpoint=server.url), 600)
    yield made
    made.close()


async def test_from_the_hub_s_threads_and_the_store_s_own(server: ByteServer, store: S3BlobStore) -> None:
    session = new_id("upl")
    files = [StagedFile(session, number, 2 * MIB, MIB, f"u{number}") for number in range(3)]
    listed = "".join(UPLOAD.format(file.key, file.upload_id) for file in files).encode()
    server.script = [_xml(LISTED % listed), *(answer(204) for _ in files)]
    threads = StoreThreads(1)
    given = request_id.set("req-of-somebody")
    try:
        await threads.run(store.discard, session)
    finally:
        request_id.reset(given)
        threads.close()
    assert [request.method for request in server.seen] == ["GET", "DELETE", "DELETE", "DELETE"]
    for request in server.seen:
        assert request.headers["x-request-id"] == "req-of-somebody"
        assert request.headers["user-agent"].endswith(" request-id/req-of-somebody")
        # Added after signing: a proxy that takes it away breaks nothing.
        assert "x-request-id" not in request.headers["authorization"]


def test_a_call_of_the_store_is_a_span_of_its_request(
    server: ByteServer, store: S3BlobStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    exporter, provider = InMemorySpanExporter(), TracerProvider(shutdown_on_exit=False)
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    monkeypatch.setattr(tracing, "_tracer", provider.get_tracer("test"))
    file = StagedFile(new_id("upl"), 0, 2 * MIB, MIB, "u0")
    server.script = [_xml(LISTED % UPLOAD.format(file.key, "u0").encode()), answer(204)]
    with tracing.span("ContentService/AbortUpload", kind="server"):
        store.discard(file.session_id)
    store_span, request_span = exporter.get_finished_spans()
    assert (store_span.name, store_span.attributes) == ("s3 discard", {})
    assert store_span.parent == request_span.context


def test_nobody_s_request_says_nothing(server: ByteServer, store: S3BlobStore) -> None:
    server.script = [_xml(LISTED % b"")]
    store.discard(new_id("upl"))
    (request,) = server.seen
    assert "x-request-id" not in request.headers
    assert "request-id/" not in request.headers["user-agent"]


def _xml(body: bytes) -> Behaviour:
    return answer(200, body, Content_Type="application/xml")
