"""Tokens in the desktop's keyring, by choice (`token_store = "keyring"`). Never in one that keeps plain text.

A keyring may wait for a person to unlock it: every call has a deadline, in a thread that nothing waits for. There is
one such thread, so that what was begun too late to be waited for lands before what came after it, never on top.
"""

from __future__ import annotations

import asyncio
import json
import logging
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from importlib import import_module
from typing import Any, Final, TypeVar

from ferryd.auth.tokens import Tokens
from ferryd.core.model import Context
from ferrywire.reasons import FerryError

T = TypeVar("T")

log = logging.getLogger(__name__)

_SERVICE: Final = "ferryman"
_TIMEOUT_S: Final = 5.0
_UNSAFE: Final = ("keyrings.alt", "keyring.backends.fail", "keyring.backends.null")


class KeyringTokens:
    """Implements `TokenStore`. All methods: KEYRING_UNAVAILABLE when there is no safe keyring or it does not answer.

    `find` gives the keyring's backend; the default is that of the package `keyring`.
    """

    kind = "keyring"

    def __init__(self, find: Callable[[], Any] | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        self._find = find or _installed
        self._timeout_s = timeout_s
        self._questions: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None

    async def load(self, context: Context) -> Tokens | None:
        text = await self._ask(lambda keyring: keyring.get_password(_SERVICE, _user(context)))
        if text is None:
            return None
        try:
            return Tokens.from_json(json.loads(text))
        except ValueError:
            log.error("the keyring holds no tokens but something else: signed out context=%s", context.name)
            return None

    async def save(self, context: Context, tokens: Tokens) -> None:
        text = json.dumps(tokens.to_json())
        await self._ask(lambda keyring: keyring.set_password(_SERVICE, _user(context), text))

    async def delete(self, context: Context) -> None:
        def delete(keyring: Any) -> None:
            if keyring.get_password(_SERVICE, _user(context)) is not None:
                keyring.delete_password(_SERVICE, _user(context))

        await self._ask(delete)

    async def _ask(self, question: Callable[[Any], T]) -> T:
        def work() -> T:
            return question(_safe(self._find()))

        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="keyring", daemon=True)
            self._thread.start()
        done: Future[T] = Future()
        self._questions.put((done, work))
        try:
            async with asyncio.timeout(self._timeout_s):
                return await asyncio.wrap_future(done)  # cancelled, it is not asked any more, unless it has begun
        except TimeoutError:
            raise _unavailable(f"it did not answer within {self._timeout_s:g} s; is it locked?") from None

    def _serve(self) -> None:
        while True:
            done, work = self._questions.get()
            if done.set_running_or_notify_cancel():
                _answer(done, work)


def _answer(done: Future[T], work: Callable[[], T]) -> None:
    try:
        result = work()
    except FerryError as error:
        done.set_exception(error)
    except Exception as error:  # noqa: BLE001 - somebody else's backend; its words may hold what it was given
        done.set_exception(_unavailable(f"it failed with {type(error).__name__}"))
    else:
        done.set_result(result)


def _installed() -> Any:
    try:
        return import_module("keyring").get_keyring()
    except ImportError:
        raise _unavailable(
            'the package keyring is not installed; run: pip install "/path/to/ferryman[keyring]"'
        ) from None


def _safe(keyring: Any) -> Any:
    """The backend that will be used, unless it keeps plain text or nothing."""
    chained = getattr(keyring, "backends", None)
    if isinstance(chained, list | tuple) and chained and "chainer" in type(keyring).__module__:
        keyring = chained[0]  # the chain would fall back to the others
    kind, priority = type(keyring), getattr(keyring, "priority", 0)
    if priority < 1 or any(base.__module__.startswith(_UNSAFE) for base in kind.__mro__):
        raise _unavailable(f"{kind.__module__}.{kind.__name__} does not protect what it keeps")
    return keyring


def _user(context: Context) -> str:
    return f"{context.name} {context.hub}"


def _unavailable(why: str) -> FerryError:
    return FerryError("KEYRING_UNAVAILABLE", f"the keyring cannot be used: {why}")
