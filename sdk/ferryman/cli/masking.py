"""Takes secrets out of what is shown: tokens, and the user's part of addresses. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, Final

_TOKEN: Final = re.compile(r"\bf[a-z]t_[A-Za-z0-9_-]{8,}")
_USERINFO: Final = re.compile(r"(?<=://)[^/\s@]*@")
_BEARER: Final = re.compile(r"(?i)\b(bearer|basic)\s+[^\s\"',;]+")
_QUERY: Final = re.compile(r"(?<=[?&])((?:sig|token|secret|password|x-amz-[a-z-]+)=)[^&\s\"']*", re.IGNORECASE)
#: Shorter values than this would mask ordinary words.
_SHORTEST: Final = 6
#: Names of variables whose values are secrets.
_SECRET_NAME: Final = re.compile(r"TOKEN|SECRET|PASSWORD|CREDENTIAL|API_?KEY", re.IGNORECASE)


def secrets_of(environ: Mapping[str, str]) -> list[str]:
    """The values in the environment that must be shown nowhere, the longest first."""
    found = {value for name, value in environ.items() if _SECRET_NAME.search(name) and len(value) >= _SHORTEST}
    return sorted(found, key=len, reverse=True)


def masked(value: Any, secrets: Iterable[str]) -> Any:
    """The value with every secret in its texts replaced by `***`."""
    if isinstance(value, dict):
        return {masked(key, secrets): masked(item, secrets) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [masked(item, secrets) for item in value]
    return _masked_text(value, secrets) if isinstance(value, str) else value


def _masked_text(text: str, secrets: Iterable[str]) -> str:
    for secret in secrets:
        text = text.replace(secret, "***")
    text = _BEARER.sub(r"\1 ***", _TOKEN.sub("***", text))
    return _QUERY.sub(r"\1***", _USERINFO.sub("***@", text))
