"""The C sink, and an S3 store that is nothing but it: uploads are begun and completed here, bytes go to the sink.

Compiled when a compiler is there. It believes the sizes it is told; digests are Ferryman's own affair.
"""

from __future__ import annotations

import shutil
import subprocess
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

SOURCE = Path(__file__).with_suffix(".c")
PART = 64 << 20


def compiler() -> str | None:
    return shutil.which("cc") or shutil.which("gcc") or shutil.which("clang")


@dataclass(frozen=True)
class Sink:
    """`port` takes any PUT and serves the file for any GET; `control` is where a hub manages uploads."""

    port: int
    control: str


@contextmanager
def sink(directory: Path, served: Path) -> Iterator[Sink]:
    """A running sink that serves this file."""
    program = directory / "sink"
    subprocess.run([compiler() or "cc", "-O2", "-pthread", "-o", program, SOURCE], check=True)
    control = ThreadingHTTPServer(("127.0.0.1", 0), _Control)
    control.daemon_threads = True
    control.uploads = _Uploads(served.stat().st_size)  # type: ignore[attr-defined]
    threading.Thread(target=control.serve_forever, daemon=True).start()
    with subprocess.Popen([program, served], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Sink(int(process.stdout.readline()), f"http://127.0.0.1:{control.server_port}")
        finally:
            process.kill()
            control.shutdown()
            control.server_close()


@dataclass
class _Uploads:
    """Every upload is of a file of this size in parts of 64 MiB."""

    size_bytes: int
    open: dict[str, str] = field(default_factory=dict)

    def parts(self) -> Iterator[tuple[int, int]]:
        for number, offset in enumerate(range(0, self.size_bytes, PART), 1):
            yield number, min(PART, self.size_bytes - offset)


class _Control(BaseHTTPRequestHandler):
    """What of S3 the hub uses to begin, check and complete a multipart upload."""

    protocol_version = "HTTP/1.1"
    wbufsize = -1  # head and body leave together: apart, the second waits 40 ms for the first one's acknowledgement

    def do_POST(self) -> None:
        key, asked = self._asked()
        self.rfile.read(int(self.headers.get("content-length", 0)))
        if "uploads" in asked:
            upload_id = f"u{len(self._uploads.open)}"
            self._uploads.open[upload_id] = key
            self._say("InitiateMultipartUploadResult", f"<Key>{key}</Key><UploadId>{upload_id}</UploadId>")
        else:
            self._uploads.open.pop(asked["uploadId"], None)
            self._say("CompleteMultipartUploadResult", f'<Key>{key}</Key><ETag>"0"</ETag>')

    def do_GET(self) -> None:
        key, asked = self._asked()
        if "uploadId" in asked:
            rows = "".join(_part(number, size) for number, size in self._uploads.parts())
            self._say("ListPartsResult", f"<Key>{key}</Key><IsTruncated>false</IsTruncated>{rows}")
        elif "uploads" in asked:
            rows = "".join(_upload(name, known) for name, known in list(self._uploads.open.items()))
            self._say("ListMultipartUploadsResult", f"<IsTruncated>false</IsTruncated>{rows}")
        else:
            self._say("ListBucketResult", "<IsTruncated>false</IsTruncated>")

    def log_message(self, *args: Any) -> None:
        """Nothing."""

    @property
    def _uploads(self) -> _Uploads:
        found: _Uploads = self.server.uploads  # type: ignore[attr-defined]
        return found

    def _asked(self) -> tuple[str, dict[str, str]]:
        url = urlsplit(self.path)
        asked = parse_qs(url.query, keep_blank_values=True)
        return url.path.split("/", 2)[2] if url.path.count("/") > 1 else "", {name: v[0] for name, v in asked.items()}

    def _say(self, name: str, inside: str) -> None:
        body = f'<?xml version="1.0"?><{name} xmlns="http://s3.amazonaws.com/doc/2006-03-01/">{inside}</{name}>'
        self.send_response(200)
        self.send_header("content-type", "application/xml")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body.encode())


def _part(number: int, size: int) -> str:
    when = "<LastModified>2026-01-01T00:00:00.000Z</LastModified>"
    return f'<Part><PartNumber>{number}</PartNumber><ETag>"0"</ETag><Size>{size}</Size>{when}</Part>'


def _upload(upload_id: str, key: str) -> str:
    when = "<Initiated>2026-01-01T00:00:00.000Z</Initiated>"
    return f"<Upload><Key>{key}</Key><UploadId>{upload_id}</UploadId>{when}</Upload>"
