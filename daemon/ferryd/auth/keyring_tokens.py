"""Tokens in the desktop's keyring, by choice (`token_store = "keyring"`). Never in one that keeps plain text.

A keyring may wait for a person to unlock it: every call has a deadline, in a thread that nothing waits for.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final, TypeVar

from ferryd.auth.tokens import Tokens
from ferryd.core.model import Context
from ferrywire.reasons import FerryError

T = TypeVar("T")

_SERVICE: Final = "ferryman"
_TIMEOUT_S: Final = 5.0


class KeyringTokens:
    """Implements `TokenStore`. All methods: KEYRING_UNAVAILABLE when there is no safe keyring or it does not answer.

    `find` gives the keyring's backend; the default is that of the package `keyring`.
    """

    kind = "keyring"

    def __init__(self, find: Callable[[], Any] | None = None, timeout_s: float = _TIMEOUT_S) -> None:
        self._find = find or _installed
        self._timeout_s = timeout_s

    async def load(self, context: Context) -> Tokens | None:
        text = await self._ask(lambda keyring: keyring.get_password(_SERVICE, _user(context)))
        if text is None:
            return None
        try:
            return Tokens.from_json(json.loads(text))
        except ValueError:
            raise _unavailable("what it holds for ferryman is damaged; sign out and in again") from None

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

        try:
            async with asyncio.timeout(self._timeout_s):
                return await _in_thread(work)
        except TimeoutError:
            raise _unavailable(f"it did not answer within {self._timeout_s:g} s; is it locked?") from None


async def _in_thread(work: Callable[[], T]) -> T:
    """Not one of the pool's threads: the pool is waited for at the end, and a locked keyring may never return."""
    loop = asyncio.get_running_loop()
    done: asyncio.Future[T] = loop.create_future()

    def settle(result: T | None, problem: FerryError | None) -> None:
        if done.cancelled():
            return
        if problem is not None:
            done.set_exception(problem)
        else:
            done.set_result(result)  # type: ignore[arg-type] # None only where T is None

    def run() -> None:
        result: T | None = None
        problem: FerryError | None = None
        try:
            result = work()
        except FerryError as error:
            problem = error
        except Exception as error:  # noqa: BLE001 - somebody else's backend; its words may hold what it was given
            problem = _unavailable(f"it failed with {type(error).__name__}")
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle, result, problem)

    threading.Thread(target=run, name="keyring", daemon=True).start()
    return await done


def _installed() -> Any:
    try:
        return import_module("keyring").get_keyring()
    except ImportError:
        raise _unavailable('the package keyring is not installed; run: pip install "ferryman[keyring]"') from None


def _safe(keyring: Any) -> Any:
    """The backend that will be used, unless it keeps plain text or nothing."""
    chained = getattr(keyring, "backends", None)
    if isinstance(chained, list | tuple) and chained and "chainer" in type(keyring).__module__:
        keyring = chained[0]  # the chain would fall back to the others
    module, priority = type(keyring).__module__, getattr(keyring, "priority", 0)
    if priority < 1 or module.startswith(("keyrings.alt", "keyring.backends.fail")):
        raise _unavailable(f"{module}.{type(keyring).__name__} does not protect what it keeps")
    return keyring


def _user(context: Context) -> str:
    return f"{context.name} {context.hub}"


def _unavailable(why: str) -> FerryError:
    return FerryError("KEYRING_UNAVAILABLE", f"the keyring cannot be used: {why}")
