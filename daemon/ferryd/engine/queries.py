"""What can be asked of the engine: one transfer, pages, watches. Reads only."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass
from typing import Final, Generic, TypeVar

from ferryd.core.model import Transfer, TransferFile
from ferryd.core.states import SETTLED, State
from ferryd.engine.ledger import Ledger
from ferryd.engine.pages import page_limit, seal, unseal
from ferryd.engine.progress import Fanout, Subscription

T = TypeVar("T")
_SNAPSHOT_PAGE: Final = 500


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """One page of a listing. `next_page_token` is empty at the end; `total_size` counts all that match."""

    items: list[T]
    next_page_token: str
    total_size: int


class Queries:
    """The readers' side of the engine."""

    def __init__(self, ledger: Ledger, fanout: Fanout) -> None:
        self._ledger = ledger
        self._fanout = fanout
        self._key = b""

    async def get(self, transfer_id: str) -> Transfer:
        return self._ledger.view(await self._ledger.store.get(transfer_id))

    async def list(self, *, page_size: int, page_token: str, states: Sequence[State]) -> Page[Transfer]:
        store, limit = self._ledger.store, page_limit(page_size)
        listing = "transfers:" + ",".join(sorted(set(states)))
        before = unseal(await self._page_key(), listing, page_token) if page_token else None
        found = await store.page(states, before, limit + 1)
        token = seal(await self._page_key(), listing, found[limit - 1][0]) if len(found) > limit else ""
        items = [self._ledger.view(transfer) for _, transfer in found[:limit]]
        return Page(items, token, await store.count(states))

    async def list_files(self, transfer_id: str, *, page_size: int, page_token: str) -> Page[TransferFile]:
        store, limit = self._ledger.store, page_limit(page_size)
        transfer = await store.get(transfer_id)
        listing = f"files:{transfer_id}"
        first = unseal(await self._page_key(), listing, page_token) if page_token else 0
        found = await store.files(transfer_id, first - 1, limit + 1)
        token = seal(await self._page_key(), listing, found[limit].index) if len(found) > limit else ""
        return Page(found[:limit], token, transfer.file_count)

    async def subscribe(
        self, transfer_ids: Sequence[str], min_interval_s: float
    ) -> AsyncIterator[tuple[Transfer, bool]]:
        ids = frozenset(transfer_ids)
        subscription = self._fanout.open(ids or None, min_interval_s)
        try:
            async for event in self._events(subscription, ids):
                yield event
        finally:
            self._fanout.close(subscription)

    async def _events(self, subscription: Subscription, ids: frozenset[str]) -> AsyncIterator[tuple[Transfer, bool]]:
        open_ids = set(ids)
        snapshot = [await self.get(one) for one in sorted(ids)] if ids else None
        async for transfer in _each(snapshot) if snapshot is not None else self._all():
            subscription.sent(transfer)
            if transfer.state in SETTLED:
                open_ids.discard(transfer.id)
            yield transfer, True
        while open_ids or not ids:
            transfer = await subscription.next()
            if transfer.state in SETTLED:
                open_ids.discard(transfer.id)
            yield transfer, False

    async def _all(self) -> AsyncIterator[Transfer]:
        before: int | None = None
        while page := await self._ledger.store.page((), before, _SNAPSHOT_PAGE):
            for before, transfer in page:  # noqa: B007 - the last one is where the next page begins
                yield self._ledger.view(transfer)

    async def _page_key(self) -> bytes:
        self._key = self._key or await self._ledger.store.page_key()
        return self._key


async def _each(transfers: Sequence[Transfer]) -> AsyncIterator[Transfer]:
    for transfer in transfers:
        yield transfer
