"""Signatures of S3 URLs by HMAC alone (SigV4, in the query): thousands of them are made for one upload of small files.

Upload step 8, D7. What boto3 makes of an endpoint, a region and an addressing style is learnt from one URL that it
signs; it takes 0.2 ms for each, this a tenth. What is signed is `s3urls.py`'s to say. Never log a URL made here.
"""

from __future__ import annotations

import hashlib
import hmac
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final
from urllib.parse import parse_qs, quote, urlsplit

from botocore.exceptions import NoCredentialsError

_DEFAULT_PORTS: Final = {"http": 80, "https": 443}
_SAMPLE: Final = "sample"


@dataclass(frozen=True, slots=True)
class _Base:
    """What the URLs of a bucket have in common."""

    #: Scheme, host and path, to which a quoted key is added.
    url: str
    #: The path alone.
    path: str
    host: str
    #: Region, service and the end of a credential's scope.
    scope: str


class Presigner:
    """Signs for one bucket as a boto3 client does, with its `credentials`, which renew themselves."""

    def __init__(self, client: Any, credentials: Any, bucket: str) -> None:
        self._client = client
        self._credentials = credentials
        self._bucket = bucket
        self._base: _Base | None = None

    def url(
        self,
        method: str,
        key: str,
        *,
        ttl_s: int,
        query: Mapping[str, str] | None = None,
        headers: Mapping[str, str] | None = None,
        at: float | None = None,
    ) -> str:
        """A URL for this method on this key, that works for `ttl_s` from now (or `at`). `headers`, with names in lower
        case, must come with the request. Error: `NoCredentialsError`."""
        if self._credentials is None:
            raise NoCredentialsError
        # A copy: temporary credentials may be renewed by another thread in the midst of this.
        keys = self._credentials.get_frozen_credentials()
        base = self._base = self._base or _base(self._client, self._bucket)
        moment = time.strftime("%Y%m%dT%H%M%SZ", time.gmtime(at))
        scope = f"{moment[:8]}/{base.scope}"
        signed = {"host": base.host, **(headers or {})}
        names = ";".join(sorted(signed))
        asked = {
            **(query or {}),
            "X-Amz-Algorithm": "AWS4-HMAC-SHA256",
            "X-Amz-Credential": f"{keys.access_key}/{scope}",
            "X-Amz-Date": moment,
            "X-Amz-Expires": str(ttl_s),
            "X-Amz-SignedHeaders": names,
        }
        if keys.token:
            asked["X-Amz-Security-Token"] = keys.token
        name, text = quote(key, safe="/~"), "&".join(f"{_quoted(one)}={_quoted(asked[one])}" for one in sorted(asked))
        lines = "".join(f"{one}:{signed[one]}\n" for one in sorted(signed))
        request = f"{method}\n{base.path}{name}\n{text}\n{lines}\n{names}\nUNSIGNED-PAYLOAD"
        to_sign = f"AWS4-HMAC-SHA256\n{moment}\n{scope}\n{hashlib.sha256(request.encode()).hexdigest()}"
        signature = _hmac(_key(keys.secret_key, scope), to_sign).hex()
        return f"{base.url}{name}?{text}&X-Amz-Signature={signature}"


def _base(client: Any, bucket: str) -> _Base:
    sample = client.generate_presigned_url("get_object", Params={"Bucket": bucket, "Key": _SAMPLE}, ExpiresIn=1)
    parts = urlsplit(sample)
    path = parts.path.removesuffix(_SAMPLE)
    host = parts.hostname or ""
    host = f"[{host}]" if ":" in host else host
    if parts.port not in (None, _DEFAULT_PORTS[parts.scheme]):
        host = f"{host}:{parts.port}"
    scope = "/".join(parse_qs(parts.query)["X-Amz-Credential"][0].split("/")[-3:])
    return _Base(f"{parts.scheme}://{parts.netloc}{path}", path, host, scope)


@lru_cache(8)
def _key(secret: str, scope: str) -> bytes:
    """The key of a day, region and service."""
    key = f"AWS4{secret}".encode()
    for word in scope.split("/"):
        key = _hmac(key, word)
    return key


def _hmac(key: bytes, text: str) -> bytes:
    return hmac.digest(key, text.encode(), "sha256")


def _quoted(text: str) -> str:
    return quote(text, safe="~")
