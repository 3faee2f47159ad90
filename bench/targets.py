"""Where loads go, each started fresh, with everybody who can send there: an S3 store, a hub's own store, the embedded
hub, and the C sink.

Stores and hubs are started by what starts them in the tests.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final
from unittest.mock import patch

import limits
import peers
from contenders import Contender, Ferry, Program, worker
from figures import fresh_home
from loads import MIB, Load
from servers import STORE_KEYS, Certificate, HubServer, S3Server, home_of, hub_process, seaweedfs, server
from sink import compiler, sink

from ferryman import Client

_LEAST_SINK_BYTES = 96 * MIB  #: several parts
#: One way to a store that is far away.
_WAY_MS: Final = 20.0
#: What is written to a new store before anybody comes: it makes its volumes, and its memory is its own.
_WARM_PARTS, _WARM_BYTES = 4, 16 * MIB


@dataclass(frozen=True)
class Target:
    """`stores` are the directories in which what is sent ends up."""

    contenders: Sequence[Contender]
    stores: Sequence[Path]


@contextmanager
def s3(root: Path, load: Load) -> Iterator[Target]:
    """SeaweedFS, and a hub that keeps its bytes there. One bucket for all, warm."""
    with seaweedfs(volume_mb=8192, growth=3) as store, _on(store, root) as (found, bucket):
        bare = limits.s3(store.endpoint, bucket, STORE_KEYS, root, _pids(store))
        yield Target([*found, *bare], [store.root])


@contextmanager
def s3_far(root: Path, load: Load) -> Iterator[Target]:
    """The same store, to which it is a long way, for all; the hub is near."""
    with seaweedfs(volume_mb=8192, growth=3) as store:
        host, port = store.endpoint.removeprefix("http://").split(":")
        proxy = server([*worker("far"), host, port, str(_WAY_MS)], r"(http://\S+)")
        with proxy as (_, far), _on(store, root, "--public-endpoint", far, seen_at=far) as (found, _):
            yield Target(found, [store.root])


@contextmanager
def s3_tls(root: Path, load: Load) -> Iterator[Target]:
    """The same on TLS, with a certificate of an authority that all are told of in the ways they know."""
    (root / "tls").mkdir()
    certificate = Certificate(root / "tls")
    words = [f"-s3.cert.file={certificate.cert}", f"-s3.key.file={certificate.key}"]
    authority = str(certificate.authority)
    with seaweedfs(lambda _: words, volume_mb=8192, growth=3, scheme="https") as store, patch.dict(os.environ):
        store.ca = certificate.authority
        os.environ |= {"SSL_CERT_FILE": authority, "AWS_CA_BUNDLE": authority}
        with _on(store, root, "--ca-bundle", authority) as (found, _):
            yield Target(found, [store.root])


@contextmanager
def _on(store: S3Server, root: Path, *words: str, seen_at: str = "") -> Iterator[tuple[list[Contender], str]]:
    """Everybody who sends to a store, and their bucket. `seen_at` is where they find it, if not where it is."""
    bucket = store.bucket()
    for number in range(_WARM_PARTS):
        store.client().put_object(Bucket=bucket, Key=f"warm-{number}", Body=bytes(_WARM_BYTES))
    more = ["--bucket", bucket, "--endpoint", store.endpoint, "--prefix", "kept", *words]
    with hub_process(root, more) as hub, _ferry(hub, [hub.pid, *_pids(store)]) as ours:
        yield [ours, *peers.s3(seen_at or store.endpoint, bucket, STORE_KEYS, _pids(store))], bucket


@contextmanager
def hub(root: Path, load: Load) -> Iterator[Target]:
    """A hub with a store of its own, over HTTP; beside it servers of others."""
    with ExitStack() as stack:
        ours = stack.enter_context(hub_process(root))
        found: list[Contender] = [stack.enter_context(_ferry(ours, [ours.pid]))]
        (root / "dav").mkdir()
        (root / "tus").mkdir()
        if peers.has_tus_server():
            command = [*worker("tus"), "serve", str(root / "tus")]
            pid, address = stack.enter_context(server(command, r"(http://\S+)"))
            found += peers.tus(address, [pid])
        if rclone := peers.program("rclone"):
            command = [rclone, "serve", "webdav", "--addr", "127.0.0.1:0", "--config", "/dev/null", str(root / "dav")]
            pid, address = stack.enter_context(server(command, r"(http://127[^\]\s]+)"))
            found += peers.webdav(address, [pid])
        yield Target(found, [root / "dav", root / "tus", ours.state_dir])


@contextmanager
def embedded(root: Path, load: Load) -> Iterator[Target]:
    """The hub in the daemon; beside it cp."""
    (root / "copies").mkdir()
    with fresh_home() as home, Client() as client:
        yield Target([Ferry(client), *peers.copies(root / "copies")], [home / "state", root / "copies"])


@contextmanager
def c_sink(root: Path, load: Load) -> Iterator[Target]:
    """An S3 store whose bytes go to the sink; beside it the least code that could do it."""
    with sink(root, load.root) as store, ExitStack() as stack:
        words = ["--bucket", "sink", "--endpoint", store.control, "--no-check"]
        words += ["--public-endpoint", f"http://127.0.0.1:{store.port}"]
        hub = stack.enter_context(hub_process(root, words))
        raw = Program(
            "raw sendfile + XXH3",
            lambda load, key: [*worker("raw"), "up", str(store.port), str(load.root), str(load.size_bytes)],
            lambda load, key, dest: [
                *worker("raw"),
                "down",
                str(store.port),
                str(dest / load.root.name),
                str(load.size_bytes),
            ],
        )
        yield Target([stack.enter_context(_ferry(hub, [hub.pid], load.root)), raw], [])


TARGETS: dict[str, Callable[[Path, Load], AbstractContextManager[Target]]] = {
    "s3": s3,
    "s3-far": s3_far,
    "s3-tls": s3_tls,
    "hub": hub,
    "embedded": embedded,
    "sink": c_sink,
}


def why_not(target: str, load: Load) -> str:
    """Why this load does not go there; empty when it does."""
    if target != "sink":
        return ""
    if compiler() is None:
        return "no C compiler"
    return "it serves one file" if load.many else "too small" if load.size_bytes < _LEAST_SINK_BYTES else ""


@contextmanager
def _ferry(hub: HubServer, servers: Sequence[int], first: Path | None = None) -> Iterator[Ferry]:
    with home_of(hub), Client() as client:
        yield Ferry(client, servers, first)


def _pids(store: S3Server) -> list[int]:
    return [store.process.pid]
