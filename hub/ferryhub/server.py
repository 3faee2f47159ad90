"""Puts a hub behind uvicorn on a TCP port or a Unix socket: `ferryhub serve`. Not used by an embedded hub."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import os
import signal
import socket
import ssl
import stat
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Final

import uvicorn

from ferryhub.app import Hub, create_hub
from ferryhub.config import HubSettings
from ferryhub.requests import Observer, Requests
from ferryhub.serving.connection import Connection
from ferrywire import tracing

_BACKLOG: Final = 2048
#: How long running requests may take after SIGTERM, in seconds; a part that is cut off is sent again.
_GRACE_S: Final = 10
#: A lane keeps its connection while it reads and hashes the next part, in seconds.
_KEEP_ALIVE_S: Final = 75


@dataclass(frozen=True, slots=True)
class TlsFiles:
    """A certificate with its chain, and its key: PEM files that exist and fit together."""

    cert: Path
    key: Path


def tls_files(cert: Path | None, key: Path | None) -> TlsFiles | None:
    """The files for TLS; None when neither is given. Error: `RuntimeError` for one alone or unusable ones."""
    if cert is None and key is None:
        return None
    if cert is None or key is None:
        raise RuntimeError("give both --tls-cert and --tls-key, or neither")
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER).load_cert_chain(cert, key)
    except OSError as error:
        raise RuntimeError(f"cannot use the certificate {cert} with the key {key}: {error}") from error
    return TlsFiles(cert, key)


def serve(settings: HubSettings, listener: socket.socket, tls: TlsFiles | None = None) -> None:
    """Serve until SIGTERM or SIGINT, then finish what runs. Says on stdout where it listens once it answers."""
    end_traces = tracing.start("ferryhub", version("ferryman"))
    try:
        with asyncio.Runner(loop_factory=_loop_factory()) as runner:
            runner.run(_serve(settings, listener, tls))
    finally:
        end_traces()


async def _serve(settings: HubSettings, listener: socket.socket, tls: TlsFiles | None = None) -> None:
    hub = create_hub(settings)
    await hub.start()
    gc.freeze()  # what stays anyway is not looked through again, in the midst of somebody's thousands of rows
    try:
        async with _counting(hub, settings.metrics_listen) as observer:
            app = Requests(hub.asgi, draining=lambda: hub.draining, observer=observer)
            await _answer(app, hub, settings, listener, tls)
    finally:
        await hub.close()


async def _answer(
    app: Requests, hub: Hub, settings: HubSettings, listener: socket.socket, tls: TlsFiles | None
) -> None:
    config = uvicorn.Config(
        app,
        http=Connection,
        ws="none",
        lifespan="off",
        interface="asgi3",
        access_log=False,  # request lines hold signed URLs
        log_config=None,
        server_header=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=_GRACE_S,
        ssl_certfile=tls.cert if tls else None,
        ssl_keyfile=tls.key if tls else None,
    )
    address = _address(listener, "https" if tls else "http")
    await _Server(config, address, drain=hub.drain, drain_delay_s=settings.drain_delay_s).serve(sockets=[listener])


@asynccontextmanager
async def _counting(hub: Hub, listen: str) -> AsyncIterator[Observer | None]:
    """Whoever counts requests for Prometheus, if that is wanted."""
    if not listen:
        yield None
        return
    from ferryhub.metrics import Metrics  # for those alone who use it
    from ferrywire.scraping import serving

    host, port = host_and_port(listen, "--metrics")

    def totals() -> dict[str, int]:
        found = hub.statistics()
        return {"database_reads": found.reads, "database_writes": found.writes, "database_repeats": found.repeats}

    def levels() -> dict[str, float]:
        return {"database_calls_running": hub.statistics().running, "draining": float(hub.draining)}

    metrics = Metrics(totals=totals, levels=levels)
    with serving(metrics.registry, host, port) as url:
        print(f"ferryhub metrics at {url}", flush=True)  # noqa: T201
        yield metrics


class _Server(uvicorn.Server):
    """uvicorn with its signals handled by the loop, so that the hub is closed after the last request."""

    def __init__(
        self, config: uvicorn.Config, address: str, *, drain: Callable[[], None], drain_delay_s: float
    ) -> None:
        super().__init__(config)
        self._address = address
        self._drain = drain
        self._drain_delay_s = drain_delay_s
        self._told = False

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        print(f"ferryhub listening on {self._address}", flush=True)  # noqa: T201
        _notify(f"READY=1\nSTATUS=listening on {self._address}")

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        _notify("STOPPING=1")
        await super().shutdown(sockets)

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        # uvicorn's own raises the signal again at the end, which would kill the process before the hub is closed.
        loop = asyncio.get_running_loop()
        caught = (signal.SIGTERM, signal.SIGINT)
        for number in caught:
            loop.add_signal_handler(number, self._stop, number)
        try:
            yield
        finally:
            for number in caught:
                loop.remove_signal_handler(number)

    def _stop(self, number: int) -> None:
        """First say that nobody should come any more; then, or when told again, let nobody come."""
        self._drain()
        if self._told or not self._drain_delay_s:
            self.handle_exit(number, None)
        else:
            _notify("STOPPING=1\nSTATUS=draining")
            asyncio.get_running_loop().call_later(self._drain_delay_s, self.handle_exit, number, None)
        self._told = True


def _notify(words: str) -> None:
    """Tell systemd, when it has started us."""
    address = os.environ.get("NOTIFY_SOCKET", "")
    if not address:
        return
    # Whoever does not listen does not matter to the hub. A leading @ stands for the NUL of an abstract socket.
    with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
        sender.settimeout(1.0)
        sender.sendto(words.encode(), "\0" + address[1:] if address.startswith("@") else address)


@contextmanager
def tcp_socket(listen: str) -> Iterator[socket.socket]:
    """A listening TCP socket for `HOST:PORT`; port 0 means any that is free."""
    host, port = host_and_port(listen, "--listen")
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=_BACKLOG)
    except (OSError, OverflowError) as error:
        raise RuntimeError(f"cannot listen on {listen}: {error}") from error
    with listener:
        yield listener


def host_and_port(text: str, option: str) -> tuple[str, int]:
    """What `HOST:PORT` says. Error: `RuntimeError`."""
    host, _, port = text.rpartition(":")
    if not host or not port.isdecimal():
        raise RuntimeError(f"{option} '{text}': give it as HOST:PORT, such as 127.0.0.1:8720")
    return host.strip("[]"), int(port)


@contextmanager
def unix_socket(path: Path) -> Iterator[socket.socket]:
    """A listening Unix socket that only this user can open; a dead one left by a crash is replaced, a live one not."""
    _remove_dead(path)
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        try:
            listener.bind(str(path))  # the umask makes it 0600
        except OSError as error:
            raise RuntimeError(f"cannot listen on {path}: {error.strerror or error}") from error
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        listener.listen(_BACKLOG)
        try:
            yield listener
        finally:
            path.unlink(missing_ok=True)


def _remove_dead(path: Path) -> None:
    if not path.is_socket():
        return
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            path.unlink(missing_ok=True)
            return
    raise RuntimeError(f"another process listens on {path}; stop it first or choose another path")


def _address(listener: socket.socket, scheme: str) -> str:
    name = listener.getsockname()
    if listener.family == socket.AF_UNIX:
        return f"unix:{name}"
    host = f"[{name[0]}]" if listener.family == socket.AF_INET6 else name[0]
    return f"{scheme}://{host}:{name[1]}"


def _loop_factory() -> Callable[[], asyncio.AbstractEventLoop] | None:
    """uvloop where it is installed: twice the bytes per second of asyncio's own loop."""
    try:
        import uvloop
    except ImportError:
        return None
    factory: Callable[[], asyncio.AbstractEventLoop] = uvloop.new_event_loop
    return factory
