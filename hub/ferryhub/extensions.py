"""What our own server does for an application beyond plain ASGI: keys of `scope["extensions"]`, there when it can.

Whoever finds them absent gets and gives bytes as ASGI has it, so everything works behind any server and in process.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Final

#: `{"offer": …}`: called with memory before `receive`, it has the next bytes of the body put there. The message's body
#: is then a part of that memory. Once begun, every further `receive` needs an offer.
OFFER: Final = "ferryhub.offer"
#: ASGI's own: `send` takes messages of this type with `file` (a descriptor), `offset`, `count` and `more_body`. Here
#: `EOFError` says that the file has fewer bytes.
ZERO_COPY: Final = "http.response.zerocopysend"


def offer_of(scope: Mapping[str, Any]) -> Callable[[memoryview], None]:
    """How to offer memory; a function that does nothing where nobody takes it."""
    offer: Callable[[memoryview], None] = scope.get("extensions", {}).get(OFFER, {}).get("offer", _not_taken)
    return offer


def sends_files(scope: Mapping[str, Any]) -> bool:
    """Whether `ZERO_COPY` may be sent."""
    return ZERO_COPY in scope.get("extensions", {})


def _not_taken(_memory: memoryview) -> None:
    """Bytes come in messages of their own."""
