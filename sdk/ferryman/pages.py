"""Listings that fetch on as they are read, blocking and awaited.

They hold what was fetched, so that reading twice costs nothing. How a page is asked for is `call.Listing`.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Generator, Iterator
from typing import Any, Generic, Protocol, TypeVar, overload

from ferryman.call import Batch, Call, Listing

T = TypeVar("T")
R = TypeVar("R")


class Runs(Protocol):
    """Runs a call and waits for its reply."""

    def run(self, call: Call[R]) -> R: ...


class RunsAsync(Protocol):
    """Awaits the reply of a call."""

    async def run(self, call: Call[R]) -> R: ...


class _Fetched(Generic[T]):
    """What a listing has given so far."""

    def __init__(self, listing: Listing[T]) -> None:
        self.items: list[T] = []
        self.next_token = ""
        self.total_size: int | None = None
        self._listing = listing

    def _keep(self, batch: Batch[T]) -> None:
        self.items += batch.items
        self.next_token = batch.next_token
        self.total_size = batch.total_size


class Page(_Fetched[T]):
    """A listing, read like a list; further pages are fetched when they are needed.

    `items` holds what was fetched so far: at first exactly one page. `next_token` fetches what follows it with
    `list(…, page_token=…)` and is empty at the end. `total_size` is how many match in all, None where the server does
    not count. Reading on may raise whatever the listing itself raises.

    Example:
        for project in client.projects.list():
            print(project.name)
    """

    def __init__(self, connection: Runs, listing: Listing[T]) -> None:
        super().__init__(listing)
        self._connection = connection
        self._keep(connection.run(listing.page(listing.request.page_token)))

    def _more(self) -> bool:
        if not self.next_token:
            return False
        self._keep(self._connection.run(self._listing.page(self.next_token)))
        return True

    def __iter__(self) -> Iterator[T]:
        position = 0
        while position < len(self.items) or self._more():
            if position < len(self.items):  # a page may be empty
                yield self.items[position]
                position += 1

    def __len__(self) -> int:
        while self._more():
            pass
        return len(self.items)

    def __bool__(self) -> bool:
        return bool(self.items) or len(self) > 0

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> list[T]: ...
    def __getitem__(self, index: int | slice) -> T | list[T]:
        if isinstance(index, slice) or index < 0:
            len(self)
        else:
            while index >= len(self.items) and self._more():
                pass
        return self.items[index]

    def __repr__(self) -> str:
        return f"Page({self.items!r}{', …' if self.next_token else ''})"


class AsyncPage(_Fetched[T]):
    """A listing for `async for`; further pages are fetched when they are needed.

    Awaiting it fetches the first page and gives the page itself, with `items`, `next_token` and `total_size` as in
    `Page`; its errors are raised there or at the first step of the loop.

    Example:
        async for project in client.projects.list():
            print(project.name)
    """

    def __init__(self, connection: RunsAsync, listing: Listing[T]) -> None:
        super().__init__(listing)
        self._connection = connection
        self._begun = False

    async def _more(self) -> bool:
        token = self.next_token if self._begun else self._listing.request.page_token
        if self._begun and not token:
            return False
        batch = await self._connection.run(self._listing.page(token))
        self._begun = True
        self._keep(batch)
        return True

    async def _first(self) -> AsyncPage[T]:
        if not self._begun:
            await self._more()
        return self

    def __await__(self) -> Generator[Any, None, AsyncPage[T]]:
        return self._first().__await__()

    async def __aiter__(self) -> AsyncIterator[T]:
        position = 0
        while position < len(self.items) or await self._more():
            if position < len(self.items):
                yield self.items[position]
                position += 1

    def __repr__(self) -> str:
        return f"AsyncPage({self.items!r}{', …' if self.next_token or not self._begun else ''})"
