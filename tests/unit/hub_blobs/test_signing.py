"""Signed URLs and ranges, without a server."""

from __future__ import annotations

from urllib.parse import urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ferryhub.blobs.ranges import Unsatisfiable, parse_range
from ferryhub.blobs.signing import PartClaim, UrlSigner
from ferrywire.ids import new_id
from ferrywire.reasons import FerryError

SIGNER = UrlSigner(b"s" * 32)
CLAIM = PartClaim(new_id("upl"), 3, 7, 1000, bytes(range(16)))


def _check(method: str, url: str, now_s: float, signer: UrlSigner = SIGNER) -> dict[str, str]:
    split = urlsplit(url)
    return signer.check(method, split.path, split.query, now_s)


def test_what_is_signed_is_what_is_found() -> None:
    url = SIGNER.put_url(CLAIM, 2000)
    assert _check("PUT", url, 1999) == {"expires": "2000", "size": "1000", "digest": CLAIM.digest.hex()}
    assert _check("GET", SIGNER.get_url("k", 2000), 1999) == {"expires": "2000"}


@pytest.mark.parametrize("now_s", [2000, 2000.5, 1e12])
def test_an_expired_url_is_refused(now_s: float) -> None:
    with pytest.raises(FerryError) as caught:
        _check("PUT", SIGNER.put_url(CLAIM, 2000), now_s)
    assert caught.value.reason == "SIGNATURE_INVALID"


def test_another_hubs_urls_are_refused() -> None:
    with pytest.raises(FerryError):
        _check("PUT", SIGNER.put_url(CLAIM, 2000), 0, UrlSigner(b"t" * 32))


def test_another_method_is_refused() -> None:
    with pytest.raises(FerryError):
        _check("GET", SIGNER.put_url(CLAIM, 2000), 0)


@given(st.integers(min_value=0), st.characters(min_codepoint=33, max_codepoint=126))
def test_no_single_character_can_be_changed(at: int, character: str) -> None:
    url = SIGNER.put_url(CLAIM, 2000)
    at %= len(url)
    if url[at] == character:
        return
    forged = url[:at] + character + url[at + 1 :]
    try:
        values = _check("PUT", forged, 0)
    except (FerryError, ValueError):
        return
    # A fragment mark or a scheme may hide characters from the server; what it acts on is still what was signed.
    split = urlsplit(forged)
    assert (split.path, values) == (urlsplit(url).path, _check("PUT", url, 0))


def test_a_refusal_tells_no_signature() -> None:
    url = SIGNER.put_url(CLAIM, 2000)
    with pytest.raises(FerryError) as caught:
        _check("PUT", url + "x", 0)
    assert url.rpartition("sig=")[2] not in repr(caught.value)


@given(st.integers(0, 50), st.integers(0, 60), st.integers(0, 60))
def test_ranges_are_slices(size: int, first: int, last: int) -> None:
    data = bytes(range(size))
    wanted = data[first : last + 1]
    try:
        start, end = parse_range(f"bytes={first}-{last}", size) or (0, 0)
    except Unsatisfiable:
        assert wanted == b""
    else:
        assert data[start:end] == wanted


@pytest.mark.parametrize("header", ["bytes=-", "bytes=a-b", "bytes=0-1,2-3", "bytes", "", "bytes=0-0x1", "bytes=٣-"])
def test_headers_that_are_no_range_are_refused(header: str) -> None:
    with pytest.raises(Unsatisfiable):
        parse_range(header, 100)


def test_no_header_is_no_range() -> None:
    assert parse_range(None, 100) is None
