"""Signed URLs are taken apart into whom to ask and what for; nothing else goes on the wire."""

from __future__ import annotations

import pytest

from ferryd.lanes.origin import Origin, split_url
from ferrywire.reasons import FerryError


@pytest.mark.parametrize(
    ("url", "origin", "target"),
    [
        ("http://hub/a/b?x=1&y=%20", Origin("http", "hub", 80), "/a/b?x=1&y=%20"),
        ("https://hub", Origin("https", "hub", 443), "/"),
        ("https://HUB:8443?x=1", Origin("https", "hub", 8443), "/?x=1"),
        ("HTTP://hub:81/a#b?c", Origin("http", "hub", 81), "/a"),
        ("http://[::1]:9000/a:b@c", Origin("http", "::1", 9000), "/a:b@c"),
        ("http+unix://%2Frun%2Fhub.sock/a?b=c/d", Origin("http+unix", "/run/hub.sock", 0), "/a?b=c/d"),
    ],
)
def test_a_url_is_an_origin_and_a_target(url: str, origin: Origin, target: str) -> None:
    assert split_url(url) == split_url(url) == (origin, target)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "hub/a",
        "http:///a",
        "http://?x",
        "http:hub",
        "ftp://hub/a",
        "file:///etc/passwd",
        "http://user@hub/a",
        "http://user:word@hub/a",
        "http://hub:port/a",
        "http://hub:70000/a",
        "http://[::1/a",
        "http://hub/a b",
        "http://hub/a\r\nX: y",
        "http://hub/\u00e9",
        "http://hub\n/a",
    ],
)
def test_anything_else_is_refused(url: str) -> None:
    with pytest.raises(FerryError) as caught:
        split_url(url)
    assert caught.value.reason == "HUB_UNREACHABLE"
