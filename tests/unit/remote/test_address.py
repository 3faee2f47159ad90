"""Hub addresses and the URLs a hub gives."""

from __future__ import annotations

import pytest

from ferryd.remote.address import parse_address
from ferrywire.reasons import FerryError


@pytest.mark.parametrize(
    ("hub", "given", "absolute"),
    [
        ("http://h:81", "/blobs/x?sig=1", "http://h:81/blobs/x?sig=1"),
        ("http://h:81/", "blobs/x", "http://h:81/blobs/x"),
        ("https://h", "https://store.example/x?sig=1", "https://store.example/x?sig=1"),
        ("http://[::1]:8", "/x", "http://[::1]:8/x"),
        ("unix:/run/a hub.sock", "/x?sig=1", "http+unix://%2Frun%2Fa%20hub.sock/x?sig=1"),
    ],
)
def test_urls_become_absolute(hub: str, given: str, absolute: str) -> None:
    assert parse_address(hub).resolve(given) == absolute


@pytest.mark.parametrize(
    "given", ["file:///etc/passwd", "//evil.example/x", "http+unix://%2Frun%2Fdocker.sock/x", "ftp://x"]
)
def test_urls_that_lead_elsewhere_are_refused(given: str) -> None:
    with pytest.raises(FerryError) as caught:
        parse_address("http://h").resolve(given)
    assert caught.value.reason == "HUB_UNREACHABLE"


@pytest.mark.parametrize(
    "text",
    [
        "",
        "h:80",
        "ftp://h",
        "http://",
        "unix:relative",
        "http://u:s3cret@h",
        "http://h?x",
        "http://h:x",
        "http://mün..chen.de",
    ],
)
def test_what_is_no_address_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(FerryError) as caught:
        parse_address(text)
    assert (caught.value.reason, caught.value.metadata["field"]) == ("INVALID_ARGUMENT", "FERRYMAN_HUB")
    assert "s3cret" not in str(caught.value)


def test_a_name_in_other_letters_is_shown_as_it_is_and_asked_for_as_the_network_has_it() -> None:
    address = parse_address("https://bücher.example:8443/hub/")
    assert address.text == "https://bücher.example:8443/hub"
    assert address.base_url == "https://xn--bcher-kva.example:8443/hub"
