"""The composition root: builds every object in order, owns the one task group, imported by nobody but the command.

Start: private directories → runtime lock → state lock → store → engine → socket → `ready` → embedded hub behind it.
Stop (SIGTERM, Shutdown, idle, socket gone): refuse and checkpoint ≤ 2 s → close the socket → close the rest → unlock.
"""

from __future__ import annotations

import asyncio
import logging
import os
import resource
import signal
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import AbstractAsyncContextManager, AsyncExitStack, asynccontextmanager, nullcontext
from typing import Any

import uvloop

from ferryd import VERSION
from ferryd.auth.accounts import Accounts, Embedded
from ferryd.auth.connections import Connections, Surroundings
from ferryd.auth.contexts import Contexts
from ferryd.auth.flights import Flights
from ferryd.auth.keyring_tokens import KeyringTokens
from ferryd.auth.tokens import FileTokens, TokenStore
from ferryd.config import Config
from ferryd.core.clock import SystemClock
from ferryd.core.model import EMBEDDED, Limits
from ferryd.core.observing import Observer
from ferryd.core.ports import Hubs
from ferryd.core.states import SETTLED, State
from ferryd.embed import Answer, EmbeddedHub, EmbeddedSettings
from ferryd.engine.engine import Engine
from ferryd.lanes.files import LocalFiles
from ferryd.lanes.pool import ByteLanes
from ferryd.lifecycle import locks, logs
from ferryd.lifecycle.background import Background
from ferryd.lifecycle.identity import LocalIdentity, load_identity
from ferryd.lifecycle.notify import ServiceManager
from ferryd.lifecycle.readiness import Readiness
from ferryd.lifecycle.watch import LoopLag, wait_idle, wait_socket_gone
from ferryd.remote.address import parse_address
from ferryd.remote.inprocess import DirectTransport
from ferryd.rpc.auth import AuthRpc
from ferryd.rpc.daemon import About, Controls, Counters, DaemonRpc
from ferryd.rpc.forward import Forwarder
from ferryd.rpc.server import Activity, Handler, serve, service_handler
from ferryd.rpc.transfers import TransferRpc
from ferryd.store.store import SqliteStore
from ferrywire import paths, tracing
from ferrywire.reasons import FerryError

log = logging.getLogger(__name__)

_LOCK_TIMEOUT_S = 8.0
_OK, _FAILED = 0, 1


def run(config: Config, readiness: Readiness, umask: int) -> int:
    """Run the daemon until it is told to stop or has been idle for long. Returns the exit status.

    `umask` is the user's, for the files they download; the daemon's own is stricter.
    """
    logs.set_up(config.log_level, config.log_format)
    _raise_file_limit()
    manager = ServiceManager(os.environ)
    try:
        held = _take_locks(config)
    except locks.Busy as busy:
        readiness.busy()
        manager.status(f"another daemon, not this service, serves on {busy}; stop that one")
        print(f"ferryd: another daemon serves on {busy}", file=sys.stderr)  # noqa: T201
        return _OK
    except (locks.Unsafe, OSError) as error:
        readiness.error(str(error))
        manager.status(f"cannot start: {error}")
        print(f"ferryd: {error}", file=sys.stderr)  # noqa: T201
        return _FAILED
    end_traces = tracing.start("ferryd", VERSION)
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            return runner.run(_Daemon(config, readiness, manager, umask).run())
    finally:
        end_traces()
        for descriptor in held:
            os.close(descriptor)


def _take_locks(config: Config) -> list[int]:
    socket_path = config.socket_path
    if len(os.fsencode(socket_path)) > paths.MAX_SOCKET_PATH_BYTES:
        raise locks.Unsafe(f"the socket path {socket_path} is too long; set FERRYMAN_RUNTIME_DIR to a shorter one")
    locks.private_dir(socket_path.parent, "FERRYMAN_RUNTIME_DIR")
    locks.private_dir(config.state_dir, "FERRYMAN_STATE_DIR")
    return [
        locks.take_runtime_lock(socket_path, config.state_dir, _LOCK_TIMEOUT_S),
        locks.take_state_lock(config.state_dir, socket_path, _LOCK_TIMEOUT_S),
    ]


def _raise_file_limit() -> None:
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft < hard:
        wanted = hard if hard != resource.RLIM_INFINITY else 65536
        resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(wanted, 65536)), hard))


def _token_store(config: Config) -> TokenStore:
    return KeyringTokens() if config.token_store == "keyring" else FileTokens(config.state_dir / "tokens.json")


@asynccontextmanager
async def _serving_metrics(registry: Any, host: str, port: int) -> AsyncIterator[None]:
    from ferrywire.scraping import serving

    async with AsyncExitStack() as stack:
        try:
            shown = serving(registry, host, port)
            url = shown.__enter__()
        except RuntimeError as error:
            log.error("metrics_off: %s", error)
        else:
            # In a thread: whoever is just being answered waits for this loop.
            stack.push_async_callback(asyncio.to_thread, shown.__exit__, None, None, None)
            log.info("metrics_served url=%s", url)
        yield


class _Daemon:
    """One life of the daemon: its objects and how they start and stop."""

    def __init__(self, config: Config, readiness: Readiness, manager: ServiceManager, umask: int) -> None:
        self._umask = umask
        self._manager = manager
        self._config = config
        self._readiness = readiness
        self._started_at = time.time()
        self._stop = asyncio.Event()
        self._clock = SystemClock()
        self._tokens = _token_store(config)
        self._flights = Flights()
        self._embedded_hub_begun = False

    async def run(self) -> int:
        """Serve until told to stop."""
        async with AsyncExitStack() as stack:
            try:
                await self._start(stack)
            except Exception as error:  # whatever it was, the starter waits for a line
                log.error("start_failed %s", error, exc_info=None if isinstance(error, FerryError) else error)
                self._readiness.error(str(error))
                self._manager.status(f"cannot start: {error}")
                return _FAILED
            await self._stop.wait()
            log.info("stopping")
            self._manager.stopping()
            await self._engine.drain()
        log.info("stopped")
        return _OK

    async def _start(self, stack: AsyncExitStack) -> None:
        config = self._config
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, self._stop.set)
        self._lag = LoopLag()
        self._observer, serve_metrics = self._measure()
        self._activity = Activity(self._observer)
        identity = load_identity(config.state_dir)
        configured = None if config.embedded else parse_address(config.hub).text
        self._contexts = Contexts(config.state_dir / "contexts.json", configured)
        connections = self._connect_hubs(stack, identity)
        self._engine = await self._build_engine(stack, connections)
        # Entered after what they use, so that they have ended before that is closed.
        await stack.enter_async_context(self._flights)
        self._background = await stack.enter_async_context(Background())
        accounts = Accounts(
            self._contexts,
            connections,
            Embedded(identity.principal_id, identity.email),
            self._clock,
            storage=self._tokens.kind,
            resume=self._engine.signed_in,
        )
        self._forwarder = Forwarder(connections.call, self._activity)
        await stack.enter_async_context(serve_metrics())
        await stack.enter_async_context(serve(config.socket_path, [*self._services(accounts), self._forwarder]))
        self._readiness.ready()
        self._manager.ready(f"serving on {config.socket_path}")
        hub = self._contexts.current
        log.info("serving pid=%d context=%s hub=%s socket=%s", os.getpid(), hub.name, hub.hub, config.socket_path)
        if hub == EMBEDDED:
            self._load_embedded_hub()
        for work in (self._run_engine, accounts.recover, self._lag.run, self._watch_socket, self._watch_idle):
            self._background.start(work())
        self._background.start(self._feed_watchdog())

    def _measure(self) -> tuple[Observer, Callable[[], AbstractAsyncContextManager[None]]]:
        """Who is told of what is done, and how that is shown. Data moves without it, too: what fails is only logged."""
        if not self._config.metrics:
            return Observer(), nullcontext
        try:
            from ferryd.lifecycle.metrics import Metrics, Sources
        except ModuleNotFoundError as missing:
            log.error('metrics_off: %s is not installed; run pip install "/path/to/ferryman[metrics]"', missing.name)
            return Observer(), nullcontext
        sources = Sources(
            moved=lambda: self._engine.counters,
            settled=lambda: list(self._engine.settled.items()),
            unsettled=self._unsettled,
            loop_lag_s=lambda: self._lag.worst_s,
        )
        metrics = Metrics(VERSION, sources)
        return metrics, lambda: _serving_metrics(metrics.registry, *self._config.metrics_address)

    async def _unsettled(self) -> Iterable[tuple[tuple[str, str], int]]:
        return (await self._engine.unsettled()).items()

    async def _run_engine(self) -> None:
        await self._stop_after(self._engine.run(), "the engine ended")

    async def _watch_socket(self) -> None:
        await self._stop_after(wait_socket_gone(self._config.socket_path), "the socket is gone")

    async def _watch_idle(self) -> None:
        timeout_s = 0 if self._manager.present else self._config.idle_timeout_s
        await self._stop_after(wait_idle(timeout_s, self._idle_since), "idle")

    async def _feed_watchdog(self) -> None:
        await self._manager.feed_watchdog(self._summary)

    async def _summary(self) -> str:
        counted = await self._engine.statistics()
        return ", ".join(f"{counted.transfers[state]} {state}" for state in State if state not in SETTLED)

    def _connect_hubs(self, stack: AsyncExitStack, identity: LocalIdentity) -> Connections:
        """The way to every hub. None is asked, and nothing is loaded, before somebody calls it."""
        config = self._config
        settings = EmbeddedSettings(config.state_dir / "hub", config.session_ttl_s)
        self._embedded_hub = EmbeddedHub(settings, identity)
        stack.push_async_callback(self._embedded_hub.close)

        async def embedded_hub() -> Answer:
            self._load_embedded_hub()
            return await self._embedded_hub.answer()

        surroundings = Surroundings(
            embedded=lambda: DirectTransport(embedded_hub, identity.principal_id),
            token=config.token,
            tokens=self._tokens,
            flights=self._flights,
            clock=self._clock,
            observer=self._observer,
        )
        connections = Connections(self._contexts, surroundings)
        stack.push_async_callback(connections.close)
        return connections

    def _load_embedded_hub(self) -> None:
        if not self._embedded_hub_begun:
            self._embedded_hub_begun = True
            self._background.start(self._embedded_hub.load())

    async def _build_engine(self, stack: AsyncExitStack, hubs: Hubs) -> Engine:
        config = self._config
        home = self._contexts.configured or EMBEDDED
        store = await SqliteStore.open(config.state_dir / "queue.db", self._clock.now, home, self._observer)
        stack.push_async_callback(store.close)
        lanes = ByteLanes()
        stack.callback(lanes.close)
        limits = Limits(
            bandwidth_bps=config.bandwidth_bps,
            running_transfers=config.running_transfers,
            parts_in_flight=config.parts_in_flight,
        )
        return Engine(
            store=store, hubs=hubs, lanes=lanes, files=LocalFiles(self._umask), clock=self._clock, limits=limits
        )

    def _services(self, accounts: Accounts) -> list[Handler]:
        about = About(
            version=VERSION,
            state_dir=str(self._config.state_dir),
            socket_path=str(self._config.socket_path),
            start_time=self._started_at,
        )
        controls = Controls(
            drain=self._engine.drain,
            shutdown=self._stop.set,
            is_draining=lambda: self._engine.draining,
            counters=self._counters,
            hub=lambda: self._contexts.current.hub,
        )
        implementations = (TransferRpc(self._engine, accounts.resolve), AuthRpc(accounts), DaemonRpc(about, controls))
        return [service_handler(implementation, self._activity) for implementation in implementations]

    async def _counters(self) -> Counters:
        counted = await self._engine.statistics()
        return Counters(
            transfers={state.value: count for state, count in counted.transfers.items()},
            sent_bytes=counted.sent_bytes,
            received_bytes=counted.received_bytes,
            retried_parts=counted.retried_parts,
            forwarded_calls=self._forwarder.forwarded_calls,
            watchers=counted.watchers,
            loop_lag_s=self._lag.worst_s,
        )

    async def _stop_after(self, work: Awaitable[None], why: str) -> None:
        """Stop the daemon when this work ends. Work that must not end ends by an exception: then too, and it is logged;
        the next client starts a new daemon, which recovers."""
        try:
            await work
        except Exception:
            log.exception("background_work_failed")
        log.info("leaving: %s", why)
        self._stop.set()

    async def _idle_since(self) -> float | None:
        """Loop time since when nobody has needed the daemon; None while somebody does."""
        if self._activity.open_calls or await self._engine.active():
            self._activity.touch()
            return None
        return self._activity.quiet_since
