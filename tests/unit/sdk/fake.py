"""A daemon for the SDK's tests: a real grpc server on a real socket, whose answers a test writes."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import quote

import grpc
from google.protobuf.message import Message

from ferrywire.reasons import CODE_NUMBERS, FerryError
from ferrywire.status import TRAILER, to_status

Answer = Callable[[bytes, grpc.ServicerContext], Any]
_CODES = {code.value[0]: code for code in grpc.StatusCode}


class FakeDaemon(grpc.GenericRpcHandler):
    """Answers methods by their short name (`TransferService/GetTransfer`); notes every request."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.answers: dict[str, Answer] = {}
        self.streams: dict[str, Answer] = {}
        self.requests: list[tuple[str, bytes]] = []
        self.start()

    def start(self) -> None:
        self.server = grpc.server(ThreadPoolExecutor(16), handlers=[self])
        self.server.add_insecure_port(f"unix:{quote(os.fspath(self.path))}")
        self.server.start()

    def stop(self) -> None:
        """Stop at once, as a killed process would: no word to running calls, and the socket stays as a stale file."""
        self.server.stop(grace=None).wait()

    def reply(self, method: str, *messages: Message) -> None:
        """Answer a method: with each message in turn, the last one for ever."""
        left = list(messages)
        self.answers[method] = lambda _request, _context: (
            left.pop(0) if len(left) > 1 else left[0]
        ).SerializeToString()

    def fail(self, method: str, *failures: FerryError | grpc.StatusCode, then: Message | None = None) -> None:
        """Fail a method with each error in turn; then answer."""
        left = list(failures)

        def answer(_request: bytes, context: grpc.ServicerContext) -> bytes:
            if not left:
                assert then is not None
                return then.SerializeToString()
            abort(context, left.pop(0) if then is not None or len(left) > 1 else left[0])
            raise AssertionError

        self.answers[method] = answer

    def stream(self, method: str, answer: Callable[[grpc.ServicerContext], Iterable[Message]]) -> None:
        """Answer a streaming method."""

        def run(_request: bytes, context: grpc.ServicerContext) -> Iterator[bytes]:
            for message in answer(context):
                yield message.SerializeToString()

        self.streams[method] = run

    def sent(self, method: str, kind: type[Any]) -> list[Any]:
        """The requests that a method got."""
        return [kind.FromString(request) for name, request in self.requests if name == method]

    def service(self, details: grpc.HandlerCallDetails) -> grpc.RpcMethodHandler[bytes, bytes] | None:
        package, _, method = details.method.rpartition("/")
        name = f"{package.rpartition('.')[2]}/{method}"
        if name in self.streams:
            return grpc.unary_stream_rpc_method_handler(self._noted(name, self.streams[name]))
        if name in self.answers:
            return grpc.unary_unary_rpc_method_handler(self._noted(name, self.answers[name]))
        return None

    def _noted(self, name: str, answer: Answer) -> Answer:
        def run(request: bytes, context: grpc.ServicerContext) -> Any:
            self.requests.append((name, request))
            return answer(request, context)

        return run


def abort(context: grpc.ServicerContext, failure: FerryError | grpc.StatusCode) -> None:
    """End a call with an error, with our details unless it is a bare code."""
    if isinstance(failure, FerryError):
        context.set_trailing_metadata(((TRAILER, to_status(failure).SerializeToString()),))
        context.abort(_CODES[CODE_NUMBERS[failure.code]], failure.message)
    else:
        context.abort(failure, "bare")


def hang(started: threading.Event) -> Callable[[grpc.ServicerContext], Iterator[Message]]:
    """A stream that says nothing until its call has ended."""

    def run(context: grpc.ServicerContext) -> Iterator[Message]:
        over = threading.Event()
        context.add_callback(over.set)
        started.set()
        over.wait(30)
        yield from ()

    return run


def hang_until_over(started: threading.Event) -> Answer:
    """The same for a call with one reply."""

    def run(_request: bytes, context: grpc.ServicerContext) -> bytes:
        list(hang(started)(context))
        return b""

    return run
