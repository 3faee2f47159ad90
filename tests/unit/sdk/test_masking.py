"""Secrets do not pass: tokens, bearers, signed queries, credentials in addresses, values of secret variables."""

from __future__ import annotations

import pytest

from ferryman.cli.masking import masked, secrets_of

TOKEN = "fat_" + "A1-_" * 10 + "abc"


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (f"the token {TOKEN} is wrong", "the token *** is wrong"),
        (f"frt_{TOKEN[4:]}", "***"),
        ("Authorization: Bearer abc.def", "Authorization: Bearer ***"),
        ("http://user:pw@proxy:3128", "http://***@proxy:3128"),
        ("GET /blobs/x?expires=1&sig=abcdef&size=2", "GET /blobs/x?expires=1&sig=***&size=2"),
        ("https://s3/x?X-Amz-Signature=ab&X-Amz-Date=1", "https://s3/x?X-Amz-Signature=***&X-Amz-Date=***"),
        ("a plain sentence about fat cats", "a plain sentence about fat cats"),
        ("ast_01M7Y7D63S6S4X38CZ5AQFQMBA", "ast_01M7Y7D63S6S4X38CZ5AQFQMBA"),
    ],
)
def test_a_text_loses_its_secrets(text: str, shown: str) -> None:
    assert masked(text, []) == shown


def test_values_of_secret_variables_are_masked_everywhere() -> None:
    environ = {"FERRYMAN_TOKEN": "hunter2-hunter2", "MY_API_KEY": "key-key-key", "HOME": "/root", "X_TOKEN": "on"}
    secrets = secrets_of(environ)
    assert secrets == ["hunter2-hunter2", "key-key-key"]
    found = masked({"a": ["x hunter2-hunter2", {"key-key-key": 1}], "n": 7, "home": "/root on"}, secrets)
    assert found == {"a": ["x ***", {"***": 1}], "n": 7, "home": "/root on"}
