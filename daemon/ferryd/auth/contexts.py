"""The hubs this daemon knows, by name, and which is the current one: `contexts.json` in the state directory. No secret.

`embedded` is always there. FERRYMAN_HUB, or `hub` in config.toml, makes one called `env` that is current when the
daemon starts.
"""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from ferryd.auth import private_file
from ferryd.core.model import EMBEDDED, Context
from ferryd.remote.address import parse_address
from ferrywire.reasons import FerryError

#: The name of the context that the configuration makes.
CONFIGURED: Final = "env"
_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_VERSION: Final = 1


@dataclass(frozen=True, slots=True)
class Known:
    """A context of the file, and who signed in there last."""

    context: Context
    user_email: str = ""


class Contexts:
    """The registry. Reads its file when made; every change is durable when it returns.

    `configured` is the address of the hub that the configuration names; None for none.
    """

    def __init__(self, path: Path, configured: str | None) -> None:
        self._path = path
        self._known, self._chosen = _read(path)
        self._configured = Context(CONFIGURED, configured) if configured is not None else None
        self._current = self._configured or self.find(self._chosen) or EMBEDDED
        self._lock = asyncio.Lock()

    @property
    def current(self) -> Context:
        """Where calls go that name no context."""
        return self._current

    @property
    def configured(self) -> Context | None:
        """The one that the configuration names."""
        return self._configured

    def find(self, name: str) -> Context | None:
        """The context of this name."""
        if name == EMBEDDED.name:
            return EMBEDDED
        if self._configured is not None and name == CONFIGURED:
            return self._configured
        known = self._known.get(name)
        return known.context if known else None

    def resolve(self, name: str) -> Context:
        """The context of this name, the current one for an empty name. CONTEXT_NOT_FOUND."""
        found = self.find(name) if name else self._current
        if found is None:
            names = ", ".join(one.name for one in self.all())
            raise FerryError("CONTEXT_NOT_FOUND", f"there is no context {name!r}; known are {names}", context=name)
        return found

    def knows(self, context: Context) -> bool:
        """Whether this very context, name and address, is one of ours."""
        return self.find(context.name) == context

    def all(self) -> list[Context]:
        """All of them, by name."""
        names = {EMBEDDED.name, *self._known} | ({CONFIGURED} if self._configured else set())
        return [found for name in sorted(names) if (found := self.find(name)) is not None]

    def user_email(self, context: Context) -> str:
        """Who signed in there last; empty when unknown."""
        known = self._known.get(context.name)
        return known.user_email if known and known.context == context else ""

    def named_for(self, hub: str) -> Context:
        """The context for a login that names only an address: one that has it, first of all the current one, else a new
        one named after it."""
        for one in (self._current, *self.all()):
            if one.hub == hub:
                return one
        base = _name_of(hub)
        names = [base, *(f"{base[:60]}-{number}" for number in range(2, 1000))]
        return Context(next(name for name in names if self.find(name) is None), hub)

    async def add(self, context: Context, user_email: str) -> None:
        """Remember a context that somebody has signed in to. A new one becomes the current one, unless the
        configuration has set that."""
        await asyncio.shield(self._add(context, user_email))

    async def set_user(self, context: Context, user_email: str) -> None:
        """Note who is signed in."""
        await asyncio.shield(self._set_user(context, user_email))

    async def use(self, name: str) -> Context:
        """Make it the current one. CONTEXT_NOT_FOUND."""
        return await asyncio.shield(self._use(name))

    # These three are never cancelled: the thread that writes would go on, and the next one meet it in the file.

    async def _add(self, context: Context, user_email: str) -> None:
        async with self._lock:
            known = {**self._known, context.name: Known(context, user_email)}
            new = context.name not in self._known and context != self._configured
            chosen = context.name if new and self._configured is None else self._chosen
            await self._save(known, chosen)
            if chosen != self._chosen:
                self._current = context
            self._known, self._chosen = known, chosen

    async def _set_user(self, context: Context, user_email: str) -> None:
        async with self._lock:
            known = self._known.get(context.name)
            if known is None or known.context != context or known.user_email == user_email:
                return
            changed = {**self._known, context.name: replace(known, user_email=user_email)}
            await self._save(changed, self._chosen)
            self._known = changed

    async def _use(self, name: str) -> Context:
        async with self._lock:
            context = self.resolve(name)
            if context != self._configured and name != self._chosen:
                await self._save(self._known, context.name)
                self._chosen = context.name
            self._current = context
            return context

    async def _save(self, known: Mapping[str, Known], chosen: str) -> None:
        contexts = {name: {"hub": one.context.hub, "user_email": one.user_email} for name, one in known.items()}
        text = json.dumps({"version": _VERSION, "current": chosen, "contexts": contexts}, indent=1)
        await asyncio.to_thread(private_file.write, self._path, text)


def check_name(name: str) -> None:
    """INVALID_ARGUMENT for what cannot be the name of a context that somebody signs in to."""
    if not _NAME.fullmatch(name) or name == EMBEDDED.name:
        message = f"{name!r:.100} cannot name a context: use letters, digits, '.', '_' and '-', 64 at most"
        raise FerryError("INVALID_ARGUMENT", message, field="context")


def _name_of(hub: str) -> str:
    """A name made of a hub's address: its host, and its port if it says one."""
    parts = urlsplit(hub)
    text = f"{parts.hostname}-{parts.port}" if parts.port else parts.hostname or Path(parts.path).stem
    name = re.sub(r"[^A-Za-z0-9._-]+", "-", text or "").strip("-._")[:60] or "hub"
    return f"{name}-hub" if name in (EMBEDDED.name, CONFIGURED) else name


def _read(path: Path) -> tuple[dict[str, Known], str]:
    text = private_file.read(path)
    if text is None:
        return {}, EMBEDDED.name
    try:
        whole = json.loads(text)
        known = {
            name: Known(Context(name, parse_address(one["hub"]).text), str(one["user_email"]))
            for name, one in whole["contexts"].items()
            if _NAME.fullmatch(name)
        }
        return known, str(whole["current"])
    except (ValueError, KeyError, TypeError, AttributeError, FerryError):
        private_file.move_aside(path)
        return {}, EMBEDDED.name
