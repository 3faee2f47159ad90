"""The tokens of one sign-in, and where they are kept: the `TokenStore` protocol and the private file. No network."""

from __future__ import annotations

import asyncio
import json
import math
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from ferryd.auth import private_file
from ferryd.core.model import Context

_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Tokens:
    """What a hub gave at sign-in. Never shown: the secrets are in no repr."""

    access_token: str = field(repr=False)
    #: Empty for a token that was made elsewhere: then there is nothing to renew it with.
    refresh_token: str = field(default="", repr=False)
    #: How long the access token lives from its issue, in seconds; None for ever.
    lifetime_s: float | None = None
    #: When it expires, in seconds since the epoch, by this machine's clock at its issue.
    expires_at: float | None = None
    scopes: tuple[str, ...] = ()
    #: The hub was asked to renew it and its answer is not known: it may have been spent.
    renewing: bool = False

    def to_json(self) -> dict[str, Any]:
        return asdict(self) | {"scopes": list(self.scopes)}

    @classmethod
    def from_json(cls, values: Any) -> Tokens:
        """ValueError for anything that is not tokens, without repeating it."""
        try:
            tokens = cls(**values | {"scopes": tuple(values["scopes"])})
        except (TypeError, KeyError):
            raise ValueError("these are no tokens") from None
        texts = (tokens.access_token, tokens.refresh_token, *tokens.scopes)
        times = (tokens.lifetime_s or 0.0, tokens.expires_at or 0.0)
        if (
            not tokens.access_token
            or not all(isinstance(text, str) for text in texts)
            or not all(isinstance(moment, int | float) and math.isfinite(moment) for moment in times)
        ):
            raise ValueError("these are no tokens")
        return tokens


class TokenStore(Protocol):
    """Keeps tokens between the lives of the daemon. A write is durable when it returns."""

    @property
    def kind(self) -> str:
        """Its name for people: `file` or `keyring`."""

    async def load(self, context: Context) -> Tokens | None:
        """The tokens of a hub; None when there are none."""

    async def save(self, context: Context, tokens: Tokens) -> None:
        """Keep these, in place of earlier ones."""

    async def delete(self, context: Context) -> None:
        """Forget them. Idempotent."""


class FileTokens:
    """Implements `TokenStore` by one private file. Damaged, it is kept under another name and counts as empty."""

    kind = "file"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = asyncio.Lock()

    async def load(self, context: Context) -> Tokens | None:
        async with self._lock:
            return (await asyncio.to_thread(self._read)).get(_key(context))

    async def save(self, context: Context, tokens: Tokens) -> None:
        await asyncio.shield(self._change(context, tokens))

    async def delete(self, context: Context) -> None:
        await asyncio.shield(self._change(context, None))

    async def _change(self, context: Context, tokens: Tokens | None) -> None:
        """Never cancelled: its thread would go on, and meet the next one in the file."""

        def change() -> None:
            known = self._read()
            if tokens is None and _key(context) not in known:
                return
            known.pop(_key(context), None)
            if tokens is not None:
                known[_key(context)] = tokens
            whole = {"version": _VERSION, "tokens": {key: one.to_json() for key, one in known.items()}}
            private_file.write(self._path, json.dumps(whole, indent=1))

        async with self._lock:
            await asyncio.to_thread(change)

    def _read(self) -> dict[str, Tokens]:
        text = private_file.read(self._path)
        if text is None:
            return {}
        try:
            whole = json.loads(text)
            return {key: Tokens.from_json(values) for key, values in whole["tokens"].items()}
        except (ValueError, KeyError, TypeError, AttributeError):
            private_file.move_aside(self._path)
            return {}


def _key(context: Context) -> str:
    """Name and address: a token never goes to another hub that is given the same name."""
    return f"{context.name} {context.hub}"
