"""Finds secrets where they must not be: knows every token that passed between daemon and hub, and looks everywhere.

Nothing is assumed about what was issued: what the wire carried is compared with the digests that the hub keeps.
"""

from __future__ import annotations

import hashlib
import os
import re
import sqlite3
import threading
from collections.abc import Iterable
from contextlib import closing
from pathlib import Path
from types import TracebackType
from typing import Final, Self
from urllib.parse import quote_plus

import psutil

from tests.support.proxy import Direction, Proxy

#: Access and refresh tokens, and the secret of a browser.
_TOKEN: Final = re.compile(rb"f(?:at|rt|br)_[A-Za-z0-9_-]{43}")
_DEVICE_CODE: Final = re.compile(rb'"device_code": ?"([^"]+)"')
_SIGNATURE: Final = re.compile(rb"[?&]sig=([0-9a-f]{64})")
#: As much of the last piece as a secret that is cut in two may need.
_TAIL_BYTES: Final = 256
_EVERY_S: Final = 0.1


class Canaries:
    """`with Canaries(proxy, home, password) as canaries:` collects until the end of the block."""

    def __init__(self, proxy: Proxy, home: Path, *secrets: str) -> None:
        self.proxy = proxy
        self._home = home
        self._lock = threading.Lock()
        self._given = {text.encode() for secret in secrets for text in (secret, quote_plus(secret))}
        self._seen: set[bytes] = set()
        self._tails: dict[Direction, bytes] = {"up": b"", "down": b""}
        self._told: set[str] = set()
        self._stop = threading.Event()
        self._sampler = threading.Thread(target=self._sample, name="sampler", daemon=True)

    def __enter__(self) -> Self:
        self.proxy.tap = self._tap
        self._sampler.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._stop.set()
        self._sampler.join(10)
        self.proxy.tap = None

    @property
    def secrets(self) -> set[bytes]:
        """Everything found so far: tokens, device codes, browsers' secrets, signatures of URLs."""
        with self._lock:
            return set(self._seen)

    def tokens(self, prefix: str) -> set[bytes]:
        """Those that begin so."""
        return {secret for secret in self.secrets if secret.startswith(prefix.encode())}

    def unknown(self, catalogue: Path) -> int:
        """How many tokens the hub has a digest of that have not been seen on the wire."""
        seen = {hashlib.sha256(secret).digest() for secret in self.secrets}
        with closing(sqlite3.connect(f"file:{catalogue}?mode=ro", uri=True)) as hub:
            issued = hub.execute("SELECT sha256 FROM tokens UNION SELECT sha256 FROM refresh_tokens").fetchall()
        return sum(digest not in seen for (digest,) in issued)

    def holders(self, *roots: Path) -> list[Path]:
        """The files below these directories, or at these paths, that hold a secret."""
        files = [file for root in roots for file in ([root] if root.is_file() else sorted(root.rglob("*")))]
        return [file for file in files if self.within([_bytes_of(file)])]

    def within(self, said: Iterable[str | bytes]) -> list[bytes]:
        """The secrets found in what was said. The part after the prefix counts: that is the secret."""
        bare = {secret[4:] if _TOKEN.fullmatch(secret) else secret for secret in self.secrets} | self._given
        texts = [text.encode() if isinstance(text, str) else text for text in said]
        return [secret for secret in sorted(bare) if any(secret in text for text in texts)]

    @property
    def told(self) -> set[str]:
        """Arguments and environments of every process of this home, and of every one that this process has started."""
        with self._lock:
            return set(self._told)

    def _tap(self, way: Direction, piece: bytes) -> None:
        text = self._tails[way] + piece
        found = set(_TOKEN.findall(text)) | set(_DEVICE_CODE.findall(text)) | set(_SIGNATURE.findall(text))
        self._tails[way] = text[-_TAIL_BYTES:]
        with self._lock:
            self._seen |= found

    def _sample(self) -> None:
        foreign: set[psutil.Process] = set()
        while not self._stop.wait(_EVERY_S):
            for process in set(psutil.process_iter()) - foreign:
                try:
                    environ = process.environ()
                    if process.ppid() == os.getpid() or environ.get("HOME") == str(self._home):
                        words = [*process.cmdline(), *(f"{name}={value}" for name, value in environ.items())]
                        with self._lock:
                            self._told.add("\0".join(words))
                    else:
                        foreign.add(process)  # looked at once: reading them all again takes half a core
                except psutil.Error:
                    continue  # ended meanwhile, or somebody else's


def _bytes_of(path: Path) -> bytes:
    """What a file holds; nothing when it is none, or is gone meanwhile."""
    try:
        return path.read_bytes() if path.is_file() else b""
    except FileNotFoundError:
        return b""
