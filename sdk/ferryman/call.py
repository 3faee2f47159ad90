"""A call as a value: which method, which request, and how to read the reply. Upload step 1, for both clients.

The resource modules build these with pure functions; `Client` runs them blocking, `AsyncClient` awaits them. Nothing
here sends anything.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, NamedTuple, TypeVar

if TYPE_CHECKING:
    from google.protobuf.message import Message

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Call(Generic[T]):
    """One request and how to read its reply; for a streaming method, how to read each event."""

    #: `/package.Service/Method`.
    method: str
    #: Not shown: it may hold a token.
    request: Message = field(repr=False)
    response: type[Message]
    parse: Callable[[Any], T]
    #: Raises the client's request timeout where the daemon has much to look at, in seconds.
    at_least_s: float = 0.0

    @property
    def for_hub(self) -> bool:
        """Whether it is of the catalogue, or creates a transfer: what goes to the hub in use."""
        return self.method.startswith("/ferryapi.hub.") or self.method.endswith(("/CreateUpload", "/CreateDownload"))

    @property
    def harmless(self) -> bool:
        """Whether asking twice is asking once: a read, or a creation that its `request_id` makes idempotent."""
        name = self.method.rpartition("/")[2]
        return name.startswith(("Get", "List")) or "request_id" in self.request.DESCRIPTOR.fields_by_name


class Batch(NamedTuple, Generic[T]):
    """One page of a listing as the server sent it."""

    items: list[T]
    next_token: str
    total_size: int | None


@dataclass(frozen=True, slots=True)
class Listing(Generic[T]):
    """A listing: the call for any of its pages."""

    method: str
    request: Any
    response: type[Message]
    #: The repeated field of the reply.
    items: str
    parse: Callable[[Any], T]
    total: bool = field(default=False)

    def page(self, token: str) -> Call[Batch[T]]:
        """The call for the page at `token`; the first one for an empty token."""
        request = type(self.request)()
        request.CopyFrom(self.request)
        request.page_token = token
        return Call(self.method, request, self.response, self._batch)

    def _batch(self, reply: Any) -> Batch[T]:
        items = [self.parse(item) for item in getattr(reply, self.items)]
        return Batch(items, reply.next_page_token, reply.total_size if self.total else None)
