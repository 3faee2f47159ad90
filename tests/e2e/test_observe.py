"""What an operator sees of the daemon and of both programs together: metrics, JSON lines, and traces across them."""

from __future__ import annotations

import json
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from opentelemetry import trace

from ferryman import Client, DaemonError
from tests.support.collector import Collected, Collector, collector
from tests.support.home import Home
from tests.support.hubs import HubServer
from tests.support.waiting import wait_for

__all__ = ["collector"]
pytestmark = pytest.mark.slow

Serve = Callable[[], HubServer]
#: In a title, a path and a file's bytes.
CANARY = "canary-7f3d"


@pytest.fixture
def serve(home: Home, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Starts a hub with the environment of the moment, and makes it the daemon's."""
    root = Path(tempfile.mkdtemp(prefix="fyhub"))
    started: list[HubServer] = []

    def start() -> HubServer:
        server = HubServer(root / "hub", "--metrics", "127.0.0.1:0", "--log-format", "json").start()
        started.append(server)
        monkeypatch.setenv("FERRYMAN_HUB", server.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", server.token("ann@x.org"))
        return server

    yield start
    for server in started:
        server.stop()
    shutil.rmtree(root)


def _traced(monkeypatch: pytest.MonkeyPatch, collector: Collector) -> None:
    for name, value in collector.env.items():
        monkeypatch.setenv(name, value)


def _only(spans: list[Collected]) -> Collected:
    (span,) = spans
    return span


def _awaited(collector: Collector, service: str, name: str) -> Collected:
    wait_for(lambda: collector.named(service, name), what=f"the span {name} of {service}")
    return _only(collector.named(service, name))


def test_traces_reach_from_the_caller_to_the_database_and_hold_nothing_private(
    home: Home, serve: Serve, monkeypatch: pytest.MonkeyPatch, collector: Collector
) -> None:
    _traced(monkeypatch, collector)
    home.config_dir.joinpath("config.toml").write_text('metrics = "127.0.0.1:0"\n')
    hub = serve()
    token = hub.token("bob@x.org")
    monkeypatch.setenv("FERRYMAN_TOKEN", token)
    with Client() as client:
        project = _check_a_call(client, collector)
        source = home.data / f"{CANARY}.bin"
        source.write_bytes(CANARY.encode() * 1000)
        _check_transfers(client, collector, source, project)
        pages = [httpx.get(_metrics_url(log)).content for log in (home.log, hub.log)]
    secrets = [token[4:], CANARY, str(home.root), str(hub.state_dir), "sig=", "ann@x.org", "bob@x.org"]
    for said in [*collector.raw, *pages]:
        assert [secret for secret in secrets if secret.encode() in said] == []
    assert all(not span.said and not span.events for span in collector.spans)


def _check_a_call(client: Client, collector: Collector) -> str:
    """One trace, from the caller's own span to the database; returns the project that was made."""
    callers = trace.SpanContext(0xA1 << 64, 0xB2, is_remote=False, trace_flags=trace.TraceFlags(1))
    with trace.use_span(trace.NonRecordingSpan(callers)):
        project = client.create_project(CANARY).project_id
    with pytest.raises(DaemonError) as caught:
        client.projects.get(CANARY)
    create = "ProjectService/CreateProject"
    answered = _only([span for span in _pair(collector, create) if span.parent_id == f"{0xB2:016x}"])
    called = _only([span for span in _pair(collector, create) if span.parent_id == answered.span_id])
    at_hub = _awaited(collector, "ferryhub", create)
    assert at_hub.parent_id == called.span_id
    assert {each.trace_id for each in (answered, called, at_hub)} == {f"{0xA1 << 64:032x}"}
    wait_for(lambda: [span for span in collector.below(at_hub) if span.name == "database write"])
    request_ids = {span.attributes["ferryman.request_id"] for span in (answered, called, at_hub)}
    assert len(request_ids) == 1
    # A failed one says by what reason, under the id that its caller has.
    failed = [span for span in _pair(collector, "ProjectService/GetProject") if span.failed]
    assert {span.attributes["error.type"] for span in failed} == {"PROJECT_NOT_FOUND"}
    assert {span.attributes["ferryman.request_id"] for span in failed} == {caught.value.request_id}
    return project


def _pair(collector: Collector, name: str) -> list[Collected]:
    """The daemon's two spans of a forwarded call: answering it, and calling the hub."""
    return wait_for(
        lambda: spans if len(spans := collector.named("ferryd", name)) == 2 else [], what=f"both spans of {name}"
    )


def _check_transfers(client: Client, collector: Collector, source: Path, project: str) -> None:
    """A trace each, with a span for each phase and batch, and the bytes and calls of the transfer at the hub."""
    sent = client.upload(source, title=CANARY, owner_type="project", owner_id=project)
    client.download(sent.asset_id, str(source.parent / f"down-{CANARY}"))
    up, down = _awaited(collector, "ferryd", "upload"), _awaited(collector, "ferryd", "download")
    assert up.attributes["ferryman.transfer_id"] == sent.transfer_id
    assert up.attributes["ferryman.moved_bytes"] == source.stat().st_size
    assert {span.name for span in collector.below(up)} == {"prepare", "compare", "send", "commit"}
    assert {span.name for span in collector.below(down)} == {"prepare", "compare", "fetch"}
    parts = _only(collector.below(_only([each for each in collector.below(up) if each.name == "send"])))
    assert (parts.name, parts.attributes["ferryman.parts"]) == ("parts", 1)
    for what in ("part", "ContentService/SignParts", "ContentService/CommitUpload"):
        seen = _awaited(collector, "ferryhub", what)
        assert seen.trace_id == up.trace_id, what
        assert seen.attributes["ferryman.request_id"] == sent.transfer_id, what


def _metrics_url(log: Path) -> str:
    def find() -> str:
        found = re.search(r"http://127\.0\.0\.1:\d+/metrics", log.read_text())
        return found[0] if found else ""

    return wait_for(find, what=f"the address of metrics in {log}")


def test_a_collector_that_does_not_answer_holds_up_nothing(
    home: Home, serve: Serve, monkeypatch: pytest.MonkeyPatch, collector: Collector, table: Path
) -> None:
    collector.hold()
    _traced(monkeypatch, collector)
    monkeypatch.setenv("OTEL_BSP_MAX_QUEUE_SIZE", "8")
    monkeypatch.setenv("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "4")
    monkeypatch.setenv("OTEL_EXPORTER_OTLP_TIMEOUT", "3")
    hub = serve()
    with Client() as client:
        project = client.create_project("P").project_id
        assert collector.waiting.wait(60)
        for _ in range(20):  # more spans than the queue holds
            client.projects.get(project)
        assert client.upload(table, title="T", owner_type="project", owner_id=project).transfer_id
        wait_for(lambda: "traces_lost" in home.log_text(), what="the loss in the log")
    # Both leave while it still does not answer, and have told of it once, without its address.
    assert home.stop_daemons() == []
    hub.stop()
    assert not collector.spans
    for log in (home.log_text(), hub.log.read_text()):
        assert log.count("traces_lost") <= 1
        assert collector.url not in log


@pytest.fixture
def measured(home: Home) -> Iterator[Client]:
    """A client of a daemon with metrics and a log in JSON."""
    home.config_dir.joinpath("config.toml").write_text('metrics = "127.0.0.1:0"\nlog_format = "json"\n')
    with Client() as client:
        yield client


def test_the_daemon_s_metrics_count_what_it_does(home: Home, measured: Client, table: Path) -> None:
    client = measured
    project_id = client.create_project("P").project_id
    done = client.upload(table, title="T", owner_type="project", owner_id=project_id)
    with pytest.raises(DaemonError):
        client.projects.get("nowhere")
    url = _metrics_url(home.log)

    def metric(name: str) -> float:
        found = re.search(rf"^{re.escape(name)} (\S+)$", httpx.get(url).text, re.MULTILINE)
        return float(found[1]) if found else 0.0

    assert metric('ferryd_transfers_settled_total{kind="upload",state="succeeded"}') == 1
    assert metric("ferryd_sent_bytes_total") == table.stat().st_size
    assert metric("ferryd_parts_sent_total") == 1
    not_found = 'ferryd_rpc_calls_total{code="NOT_FOUND",method="ProjectService/GetProject"}'
    wait_for(lambda: metric(not_found) == 1, what="the failed call, which is counted once its caller has been told")
    assert metric('ferryd_rpc_seconds_count{method="TransferService/CreateUpload"}') == 1
    assert metric('ferryd_hub_calls_total{method="ContentService/CommitUpload",outcome="ok"}') == 1
    assert metric('ferryd_hub_calls_total{method="ProjectService/GetProject",outcome="PROJECT_NOT_FOUND"}') == 1
    assert metric("ferryd_queue_commit_seconds_count") >= 3
    assert metric("process_open_fds") > 3
    client.transfers.set_limits(bandwidth_bps=1024)
    big = home.data / "big"
    big.write_bytes(bytes(1 << 20))
    client.transfers.upload(big, title="B", owner_type="project", owner_id=project_id).pause()
    wait_for(lambda: metric('ferryd_transfers{state="paused",waiting_for="user"}') == 1, what="the paused one")
    _check_lines(home, done.transfer_id)


def _check_lines(home: Home, transfer_id: str) -> None:
    """Every line of the log is an object; those about a transfer have its id."""
    lines = [json.loads(line) for line in home.log_text().rpartition("\n")[0].splitlines()]
    assert {"time", "level", "logger", "message"} <= set.intersection(*(set(line) for line in lines))
    about = [line for line in lines if line.get("transfer_id") == transfer_id]
    assert {line["request_id"] for line in about} == {transfer_id}
    assert about[0]["message"].startswith("transfer started")


def test_an_address_that_is_taken_costs_the_metrics_alone(home: Home, collector: Collector) -> None:
    address = collector.url.removeprefix("http://")
    home.config_dir.joinpath("config.toml").write_text(f'metrics = "{address}"\n')
    with Client() as client:
        assert client.daemon.info().pid
    assert f"metrics_off: cannot listen on {address}" in home.log_text()


def test_what_is_off_is_not_imported(home: Home, monkeypatch: pytest.MonkeyPatch, table: Path) -> None:
    monkeypatch.setenv("PYTHONPROFILEIMPORTTIME", "1")  # each import is a line of the log
    root = home.root / "hub"
    hub = HubServer(root).start()
    try:
        monkeypatch.setenv("FERRYMAN_HUB", hub.url)
        monkeypatch.setenv("FERRYMAN_TOKEN", hub.token("ann@x.org"))
        with Client() as client:
            project = client.create_project("P").project_id
            client.upload(table, title="T", owner_type="project", owner_id=project)
    finally:
        hub.stop()
    for log, own in ((home.log, "ferryd.app"), (hub.log, "ferryhub.server")):
        imported = set(re.findall(r"^import time:.*\| +(\S+)$", log.read_text(), re.MULTILINE))
        assert own in imported
        assert [name for name in imported if name.startswith(("opentelemetry", "prometheus_client"))] == []
