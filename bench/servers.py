"""Hubs and stores in processes of their own, started by what starts them in the tests, and homes signed in to them."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from figures import fresh_home

sys.path.append(str(Path(__file__).resolve().parents[1]))

from tests.support.hubs import HubServer
from tests.support.s3 import ACCESS_KEY, SECRET_KEY, S3Server, seaweedfs
from tests.support.tls import Certificate

__all__ = ["STORE_KEYS", "Certificate", "HubServer", "S3Server", "home_of", "hub_process", "seaweedfs", "server"]
STORE_KEYS = {"AWS_ACCESS_KEY_ID": ACCESS_KEY, "AWS_SECRET_ACCESS_KEY": SECRET_KEY, "AWS_EC2_METADATA_DISABLED": "true"}


@contextmanager
def hub_process(root: Path, s3_words: Sequence[str] = ()) -> Iterator[HubServer]:
    """A hub on a free port, with its state below `root`. With words for `ferryhub storage add` it keeps bytes there."""
    outer = dict(os.environ)
    os.environ.update(STORE_KEYS)
    hub = HubServer(root / "hub", "--url-ttl", "3600")
    try:
        if s3_words:
            hub.command("storage", "add", "lake", "--s3", *s3_words)
            hub.command("storage", "default", "lake")
        yield hub.start()
    finally:
        hub.kill()
        os.environ.clear()
        os.environ.update(outer)


@contextmanager
def home_of(hub: HubServer) -> Iterator[Path]:
    """A home whose daemon is signed in to this hub."""
    with fresh_home() as home:
        os.environ["FERRYMAN_HUB"] = hub.url
        os.environ["FERRYMAN_TOKEN"] = hub.token("bench@example.org")
        yield home


@contextmanager
def server(command: Sequence[str], announced: str) -> Iterator[tuple[int, str]]:
    """A server that says where it listens: (its pid, its address)."""
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        assert process.stdout is not None
        try:
            for line in process.stdout:
                if found := re.search(announced, line):
                    break
            else:
                raise SystemExit(f"{command[0]} did not start")
            yield process.pid, found[1]
        finally:
            process.kill()
