"""A person with a real browser: headless Chromium, told over a pipe what to fill in and where to click.

DevTools messages over `--remote-debugging-pipe`: JSON between NULs, so no port and no WebSocket is needed.
"""

from __future__ import annotations

import base64
import hashlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from tests.support.waiting import wait_for

#: Becomes the browser, which talks on 3 and 4, whatever numbers the pipes have here.
_START = """
import fcntl, os, sys
ends = [fcntl.fcntl(int(word), fcntl.F_DUPFD, 10) for word in sys.argv[1:3]]
for end, number in zip(ends, (3, 4)):
    os.dup2(end, number)
os.execv(sys.argv[3], sys.argv[3:])
"""
PROGRAM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), "")


def pin(cert: Path) -> str:
    """What Chromium calls a certificate's key, to trust that one and no other."""
    key = x509.load_pem_x509_certificate(cert.read_bytes()).public_key()
    info = key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return base64.b64encode(hashlib.sha256(info).digest()).decode()


class Chromium:
    """One window. Use it in a with-block."""

    def __init__(self, *, trusted: str = "") -> None:
        """`trusted` is the `pin` of a server's certificate that no authority of this machine has signed."""
        self._profile = tempfile.mkdtemp(prefix="fychromium")
        theirs_in, self._to = os.pipe()
        self._from, theirs_out = os.pipe()
        options = [
            *("--headless", "--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", "--remote-debugging-pipe"),
            *(f"--user-data-dir={self._profile}", f"--ignore-certificate-errors-spki-list={trusted}", "about:blank"),
        ]
        command = [sys.executable, "-c", _START, str(theirs_in), str(theirs_out), PROGRAM, *options]
        self._process = subprocess.Popen(
            command,
            pass_fds=(theirs_in, theirs_out),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        os.close(theirs_in)
        os.close(theirs_out)
        self._unread = b""
        self._calls = 0
        self._page = ""

    def __enter__(self) -> Self:
        target = self._call("Target.createTarget", url="about:blank")["targetId"]
        self._page = self._call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._to)
        os.close(self._from)
        shutil.rmtree(self._profile, ignore_errors=True)

    def open(self, url: str, shown: str) -> None:
        """Go to an address, and wait until a page shows this."""
        failed = self._call("Page.navigate", url=url).get("errorText")
        assert not failed, f"{url}: {failed}"
        self.wait_for_text(shown)

    def fill(self, **fields: str) -> None:
        """Put text into the inputs with these names."""
        for name, value in fields.items():
            self._run(f"document.querySelector('input[name={name}]').value = {json.dumps(value)}")

    def click(self, button: str, shown: str) -> None:
        """Click a button by what it says, and wait until the next page shows this."""
        found = f"[...document.querySelectorAll('button')].find(each => each.textContent == {json.dumps(button)})"
        self.leave(lambda: self._run(f"{found}.click()"), shown)

    def leave(self, act: Callable[[], object], shown: str) -> None:
        """Do what opens the next page and wait for it. This page must not show the same: it would pass for the next."""
        assert shown not in self.text, f"{shown!r} can be read before"
        act()
        self.wait_for_text(shown)

    def wait_for_text(self, shown: str) -> None:
        """Until it can be read on a whole page."""
        wait_for(lambda: shown in self.text, what=f"{shown!r} in the browser")

    @property
    def text(self) -> str:
        """What a person reads on the page; empty while one is loading."""
        return str(self._run("document.readyState == 'complete' && document.body ? document.body.innerText : ''") or "")

    def style(self, selector: str, name: str) -> str:
        """How something looks, as the page's style sheets have it."""
        return str(self._run(f"getComputedStyle(document.querySelector({json.dumps(selector)})).{name}"))

    def _run(self, script: str) -> Any:
        """The value of an expression on the page; None while the page changes, or when it fails."""
        return self._send("Runtime.evaluate", expression=script).get("result", {}).get("result", {}).get("value")

    def _call(self, method: str, **parameters: Any) -> Any:
        reply = self._send(method, **parameters)
        assert "error" not in reply, reply
        return reply["result"]

    def _send(self, method: str, **parameters: Any) -> Any:
        self._calls += 1
        message: dict[str, Any] = {"id": self._calls, "method": method, "params": parameters}
        if self._page:
            message["sessionId"] = self._page
        os.write(self._to, json.dumps(message).encode() + b"\0")
        while (reply := self._read()).get("id") != self._calls:
            pass  # an event
        return reply

    def _read(self) -> Any:
        while b"\0" not in self._unread:
            piece = os.read(self._from, 65536)
            assert piece, "the browser has ended"
            self._unread += piece
        message, _, self._unread = self._unread.partition(b"\0")
        return json.loads(message)


def approve(address: str, email: str, password: str, *, trusted: str = "") -> None:
    """Open the address that `ferry login` shows, mistype the password, sign in, and approve the code."""
    with Chromium(trusted=trusted) as browser:
        browser.open(address, "Sign in to see what it asks for")
        assert browser.style("button", "cursor") == "pointer", "the policy lets the page's own style sheet through"
        browser.fill(email=email, password="not " + password)
        browser.click("Sign in", "wrong")
        browser.fill(email=email, password=password)
        browser.click("Sign in", "Approve this device?")
        browser.click("Approve", "Approved")
