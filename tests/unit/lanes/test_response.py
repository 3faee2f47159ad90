"""Replies as servers write them, and as no server should."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from io import BufferedReader

import pytest

from ferryd.lanes.response import Response

_CHUNKED = b"HTTP/1.1 400 X\r\nTransfer-Encoding: Chunked\r\n\r\n"


@contextmanager
def said(data: bytes) -> Iterator[BufferedReader]:
    """What comes from an other end that said this and hung up."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.sendall(data)
        theirs.shutdown(socket.SHUT_WR)
        with ours.makefile("rb") as file:
            yield file


@pytest.mark.parametrize(
    ("data", "status", "body", "kept"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 200, b"", True),
        (b"HTTP/1.1 200\r\ncontent-length:3\r\n\r\nabc", 200, b"abc", True),
        (b"HTTP/1.1 204 No Content\nConnection: keep-alive\n\n", 204, b"", True),
        (b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", True),
        (
            b"HTTP/1.1 400 X\r\nTransfer-Encoding: Chunked\r\n\r\n2;a=b\r\nab\r\n1\r\nc\r\n0\r\nT: 1\r\n\r\n",
            400,
            b"abc",
            True,
        ),
        (b"HTTP/1.1 500 X\r\nContent-Length: 1\r\nConnection: Close\r\n\r\nx", 500, b"x", False),
        (b"HTTP/1.1 500 X\r\n\r\nuntil the end", 500, b"until the end", False),
        (b"HTTP/1.0 200 OK\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: gzip, chunked\r\nContent-Length: 1\r\n\r\nx", 200, b"x", False),
        (b"HTTP/1.1 200 X\r\nTransfer-Encoding: chunked\r\nContent-Length: 9\r\n\r\n0\r\n\r\n", 200, b"", False),
        (b"HTTP/1.1 500 X\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\nx", 500, b"x", False),
    ],
)
def test_what_servers_say(data: bytes, status: int, body: bytes, kept: bool) -> None:
    with said(data) as file:
        response = Response(file)
        assert (response.status, response.read(1000)) == (status, body)
        assert (response.ended and not response.will_close) is kept


def test_names_of_fields_are_in_lower_case_and_values_without_space_around() -> None:
    data = b"HTTP/1.1 206 X\r\nContent-Range:  bytes 0-1/2 \r\nContent-Length: 2\r\n\r\nab"
    with said(data) as file:
        response = Response(file)
        assert response.headers == {"content-range": "bytes 0-1/2", "content-length": "2"}


@pytest.mark.parametrize("head", [b"HTTP/1.1 400 X\r\nContent-Length: 9\r\n\r\n", _CHUNKED])
def test_of_a_long_body_only_the_beginning_is_read(head: bytes) -> None:
    with said(head + b"9\r\nabcdefghi\r\n") as file:
        response = Response(file)
        assert len(response.read(4)) == 4
        assert not response.ended


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Le",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 099 X\r\n\r\n",
        b"HTTP/1.1 2x0 X\r\n\r\n",
        b"HTTP/2 200 OK\r\n\r\n",
        b"HTTP/1.1 200 " + b"x" * 70_000 + b"\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"a: b\r\n" * 101 + b"\r\n",
    ],
)
def test_what_is_no_reply(data: bytes) -> None:
    with said(data) as file, pytest.raises((OSError, http.client.HTTPException)):
        Response(file)


def test_chunks_that_are_none() -> None:
    with said(_CHUNKED + b"zz\r\n") as file:
        response = Response(file)
        with pytest.raises(http.client.HTTPException):
            response.read(10)


@pytest.mark.parametrize("size", [b"-5", b"+5", b"0x5", b"1_0", b"", b"f" * 40])
def test_what_is_no_size_of_a_chunk(size: bytes) -> None:
    with said(_CHUNKED + size + b"\r\nabcde\r\n0\r\n\r\n") as file:
        response = Response(file)
        with pytest.raises(http.client.HTTPException):
            response.read(1000)
        assert not response.ended


def test_two_lengths_are_none() -> None:
    data = b"HTTP/1.1 200 X\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\nab"
    with said(data) as file, pytest.raises(http.client.HTTPException):
        Response(file)
