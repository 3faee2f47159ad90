"""How the hub talks to an S3 store: options of a location, boto3 clients, and what the store's errors mean.

Imported only when a location of that kind is used. Credentials come from boto3's own chain (environment, profile,
instance role; temporary ones are renewed by it) and are never kept by us. No keys of blobs here.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

import boto3
import botocore.session
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError
from botocore.utils import parse_timestamp

from ferryhub.logs import request_id
from ferrywire import tracing
from ferrywire.reasons import FerryError

_CONNECT_TIMEOUT_S: Final = 5.0
_READ_TIMEOUT_S: Final = 60.0
_ATTEMPTS: Final = 3
CONNECTIONS: Final = 32
#: What the store says when it, or the way to it, needs time.
_BUSY: Final = frozenset(
    {
        "SlowDown",
        "SlowDownRead",
        "SlowDownWrite",
        "ServiceUnavailable",
        "InternalError",
        "OperationAborted",
        "RequestTimeout",
        "RequestLimitExceeded",
        "Throttling",
        "ThrottlingException",
        "TooManyRequests",
    }
)
#: What only an operator can mend: transfers wait, for nothing is wrong with them.
_MISCONFIGURED: Final = frozenset(
    {
        "AccessDenied",
        "AllAccessDisabled",
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "Forbidden",
        "InvalidAccessKeyId",
        "InvalidToken",
        "NoSuchBucket",
        "PermanentRedirect",
        "RequestTimeTooSkewed",
        "SignatureDoesNotMatch",
        "403",
    }
)
_FULL: Final = frozenset({"QuotaExceeded", "StorageFull", "InsufficientStorage", "XMinioStorageFull"})
_BUSY_S: Final = 1.0
_MISCONFIGURED_S: Final = 15.0


@dataclass(frozen=True, slots=True)
class S3Options:
    """Where a location's bytes are and how to get there. Nothing here is secret."""

    bucket: str
    #: The store's address; empty for AWS itself.
    endpoint: str = ""
    #: The same store as clients reach it, where that differs.
    public_endpoint: str = ""
    region: str = ""
    #: What all keys begin with, without a slash at the end.
    prefix: str = ""
    #: `path` or `virtual`.
    addressing: str = "path"
    #: A file of certificates that sign the store's.
    ca_bundle: str = ""
    #: Server-side encryption: empty, `AES256` or `aws:kms`.
    sse: str = ""
    kms_key: str = ""
    #: The profile of boto3's configuration to take credentials from.
    profile: str = ""
    #: What parts come with: `crc64nvme`, or empty for a store that does not know it.
    checksum: str = "crc64nvme"
    #: Whether the store is told never to put a part over an object. Goes with a checksum: then the name says what is
    #: there, and who may not put a part again knows that it is.
    write_once: bool = True

    @classmethod
    def of(cls, options: Mapping[str, Any]) -> S3Options:
        """Read a location's options; those of other readers are left out."""
        return cls(**{key: value for key, value in options.items() if key in cls.__dataclass_fields__})


def clients(options: S3Options) -> tuple[Any, Any, Any]:
    """A client that calls the store, one that knows where clients of ours reach it, and the credentials of both, None
    when there are none. Nothing connects yet."""
    with explained(options.bucket):
        session = boto3.Session(
            profile_name=options.profile or None, region_name=options.region or None, botocore_session=_core()
        )
        region = session.region_name or "us-east-1"
        calls = _client(session, options, options.endpoint, region)
        credentials = session.get_credentials()
        if options.public_endpoint in ("", options.endpoint):
            return calls, calls, credentials
        return calls, _client(session, options, options.public_endpoint, region), credentials


def _core() -> Any:
    """What boto3 is made on, with another reader of times: its own takes more than all else of a list of objects."""
    core = botocore.session.Session()
    core.get_component("response_parser_factory").set_parser_defaults(timestamp_parser=_moment)
    return core


def _moment(text: Any) -> datetime:
    """A time as lists write it, in UTC; boto3 reads any other way to write one."""
    with suppress(ValueError):
        if isinstance(text, str) and text.endswith("Z"):
            return datetime.fromisoformat(text)
    found: datetime = parse_timestamp(text)
    return found


def _client(session: Any, options: S3Options, endpoint: str, region: str) -> Any:
    config = Config(
        signature_version="s3v4",
        s3={"addressing_style": options.addressing},
        # Only what we ask for: other stores than AWS trip over the rest.
        request_checksum_calculation="when_required",
        response_checksum_validation="when_required",
        connect_timeout=_CONNECT_TIMEOUT_S,
        read_timeout=_READ_TIMEOUT_S,
        retries={"total_max_attempts": _ATTEMPTS, "mode": "standard"},
        max_pool_connections=CONNECTIONS,
    )
    client = session.client(
        "s3", endpoint_url=endpoint or None, region_name=region, verify=options.ca_bundle or None, config=config
    )
    client.meta.events.register("before-send.s3", _say_whose)
    return client


def _say_whose(request: Any, **_: Any) -> None:
    """Let the store's log name the request of ours that a call is made for. Not signed: stores may overlook it."""
    if own_id := request_id.get():
        request.headers["x-request-id"] = own_id
        request.headers["User-Agent"] = f"{_text(request.headers.get('User-Agent', 'ferryhub'))} request-id/{own_id}"


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("latin-1")


@contextmanager
def traced(what: str, bucket: str) -> Iterator[None]:
    """`explained`, and seen in a trace as the one piece of work it is. Not for what yields in its midst."""
    with tracing.span(f"s3 {what}"), explained(bucket):
        yield


@contextmanager
def explained(bucket: str) -> Iterator[None]:
    """Give the store's errors and boto3's own their reason. The message names no key and no URL: clients see it."""
    where = f"the hub's storage (bucket '{bucket}')"
    try:
        yield
    except ClientError as error:
        raise _explain(error, where) from error
    except BotoCoreError as error:
        message = f"{where} cannot be reached: {type(error).__name__}"
        raise FerryError("HUB_OVERLOADED", message, retry_after_s=_BUSY_S) from error


def code_of(error: ClientError) -> str:
    """The store's own name of an error."""
    return str(error.response.get("Error", {}).get("Code", ""))


def is_missing_bucket(error: FerryError) -> bool:
    """Whether the store said of an explained error that there is no such bucket."""
    return isinstance(error.__cause__, ClientError) and code_of(error.__cause__) == "NoSuchBucket"


def _explain(error: ClientError, where: str) -> FerryError:
    code = code_of(error)
    status = int(error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0))
    if code in _FULL or status == 507:
        return FerryError("DISK_FULL", f"{where} is full", path=where, freeBytes=0)
    if code in _MISCONFIGURED:
        message = f"{where} refuses the hub ({code}): its operator must mend that"
        return FerryError("HUB_OVERLOADED", message, retry_after_s=_MISCONFIGURED_S)
    if code in _BUSY or status in (429, 500, 502, 503, 504):
        return FerryError("HUB_OVERLOADED", f"{where} is busy ({code})", retry_after_s=_BUSY_S)
    return FerryError("IO_ERROR", f"{where} failed: {code or status}", path=where)
