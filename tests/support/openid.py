"""An OpenID provider in the test's own process: real HTTP, real signatures, and every lie that a test wants of it.

It signs in whoever comes, as the person that the test has put there, and is as strict with its client as a provider is.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlencode, urlsplit

from joserfc import jwt
from joserfc.jwk import KeySet, RSAKey

CLIENT_ID = "ferry hub/1"
CLIENT_SECRET = "canary:secret+of/the hub"

Claims = dict[str, Any]


class OpenIdProvider:
    """What it says and does; tests change the attributes. Serve it with `provider()`."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.redirect_uri = ""
        self.person: Claims = {"sub": "1001", "email": "ann@x.org", "email_verified": True, "name": "Ann Lee"}
        self.key = RSAKey.generate_key(2048, {"kid": "first", "use": "sig"})
        #: Changes what would be answered by a path, such as `/token`; what it raises is the HTTP status.
        self.lies: dict[str, Callable[[Claims], Claims]] = {}
        #: Changes the claims of an ID token, or what is made of them.
        self.claims: Callable[[Claims], Claims] = dict
        self.sign: Callable[[Claims], str] = self.signed
        #: People must say yes on a page of its own.
        self.asks = False
        self.asked: list[str] = []
        self._codes: dict[str, Claims] = {}

    def reset(self) -> None:
        """Tell the truth again, about Ann."""
        url, redirect_uri, key = self.url, self.redirect_uri, self.key
        self.__init__(url)  # type: ignore[misc]
        self.redirect_uri, self.key = redirect_uri, key

    def signed(self, claims: Claims, *, alg: str = "RS256", key: Any = None) -> str:
        """An ID token with these claims."""
        key = key or self.key
        return jwt.encode({"alg": alg, "kid": key.kid}, claims, key, algorithms=[alg])

    def metadata(self) -> Claims:
        return {
            "issuer": self.url,
            "authorization_endpoint": f"{self.url}/authorize?tenant=1",
            "token_endpoint": f"{self.url}/token",
            "userinfo_endpoint": f"{self.url}/userinfo",
            "jwks_uri": f"{self.url}/jwks",
            "authorization_response_iss_parameter_supported": True,
        }

    def authorize(self, query: dict[str, str]) -> str:
        """Where the browser is sent back to."""
        asked = {name: query[name] for name in ("client_id", "redirect_uri", "response_type", "code_challenge_method")}
        assert asked == {
            "client_id": CLIENT_ID,
            "redirect_uri": self.redirect_uri,
            "response_type": "code",
            "code_challenge_method": "S256",
        }
        assert "openid" in query["scope"].split()
        code = secrets.token_urlsafe(16)
        self._codes[code] = {"challenge": query["code_challenge"], "nonce": query["nonce"], "person": dict(self.person)}
        return f"{self.redirect_uri}?{urlencode({'code': code, 'state': query['state'], 'iss': self.url})}"

    def token(self, form: dict[str, str], authorization: str) -> Claims:
        """The tokens for a code, once."""
        basic = base64.b64decode(authorization.removeprefix("Basic ")).decode()
        assert [unquote(each) for each in basic.split(":")] == [CLIENT_ID, CLIENT_SECRET]
        assert (form["grant_type"], form["redirect_uri"]) == ("authorization_code", self.redirect_uri)
        given = self._codes.pop(form["code"])
        made = _base64(hashlib.sha256(form["code_verifier"].encode()).digest())
        assert made == given["challenge"]
        now = int(time.time())
        about = {"iss": self.url, "aud": CLIENT_ID, "iat": now, "exp": now + 300, "nonce": given["nonce"]}
        id_token = self.sign(self.claims({**about, **given["person"]}))
        return {"access_token": secrets.token_urlsafe(), "token_type": "Bearer", "id_token": id_token}

    def keys(self) -> Claims:
        other = {"kty": "AKP", "alg": "ML-DSA-44", "kid": "unheard-of", "pub": "AAAA"}
        return {"keys": [other, *KeySet([self.key]).as_dict()["keys"]]}


_PATHS = ("/.well-known/openid-configuration", "/jwks", "/userinfo")


class _Handler(BaseHTTPRequestHandler):
    provider: OpenIdProvider

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/authorize":
            self._authorize(dict(parse_qsl(parts.query)))
            return
        if parts.path not in _PATHS:
            self.send_error(404)
            return
        answers = {
            "/.well-known/openid-configuration": self.provider.metadata,
            "/jwks": self.provider.keys,
            "/userinfo": lambda: dict(self.provider.person),
        }
        self._answer(parts.path, answers[parts.path])

    def _authorize(self, query: dict[str, str]) -> None:
        if self.provider.asks and "yes" not in query:
            fields = "".join(f'<input type="hidden" name="{name}" value="{value}">' for name, value in query.items())
            name = self.provider.person["name"]
            page = f'<form action="/authorize">{fields}<button name="yes" value="1">Continue as {name}</button></form>'
            self._send(200, "text/html", f"<!DOCTYPE html><title>Provider</title>{page}".encode())
            return
        self._send(302, "text/plain", b"", location=self.provider.authorize(query))

    def do_POST(self) -> None:
        form = dict(parse_qsl(self.rfile.read(int(self.headers["content-length"])).decode()))
        self._answer(self.path, lambda: self.provider.token(form, self.headers.get("authorization", "")))

    def _answer(self, path: str, make: Callable[[], Claims]) -> None:
        self.provider.asked.append(path)
        try:
            status, body = 200, self.provider.lies.get(path, dict)(make())
        except (AssertionError, KeyError, ValueError) as error:
            status, body = 400, {"error": "invalid_request", "error_description": repr(error)}
        except HttpStatus as error:
            status, body = error.status, {"error": "server_error"}
        self._send(status, "application/json", json.dumps(body).encode())

    def _send(self, status: int, content_type: str, body: bytes, **headers: str) -> None:
        self.send_response(status)
        for name, value in {"content-type": content_type, "content-length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Tests look at `asked`."""


class HttpStatus(Exception):
    """What a lie raises to have this status answered."""

    def __init__(self, status: int) -> None:
        super().__init__(status)
        self.status = status


@contextmanager
def provider(host: str = "127.0.0.1") -> Iterator[OpenIdProvider]:
    """A provider that serves until the end of the block; to browsers a `host` of another name is another site."""

    class Handler(_Handler):
        """With the one provider of this server."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Handler.provider = OpenIdProvider(f"http://{host}:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
    thread.start()
    try:
        yield Handler.provider
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def unsigned(claims: Claims) -> str:
    """An ID token with the algorithm `none`."""
    return _unsigned("none", claims) + "."


def with_shared_secret(claims: Claims, secret: bytes) -> str:
    """An ID token by HMAC, with a secret that others know."""
    text = _unsigned("HS256", claims)
    return f"{text}.{_base64(hmac.digest(secret, text.encode(), hashlib.sha256))}"


def _unsigned(alg: str, claims: Claims) -> str:
    return ".".join(_base64(json.dumps(part).encode()) for part in ({"alg": alg, "kid": "first"}, claims))


def _base64(value: bytes) -> str:
    return base64.urlsafe_b64encode(value).decode().rstrip("=")


def state_of(address: str) -> dict[str, str]:
    """The fields in the query of an address."""
    return dict(parse_qsl(urlsplit(address).query))


def with_fields(address: str, **fields: str | None) -> str:
    """The address with other fields in its query; None takes one away."""
    kept = {name: value for name, value in {**state_of(address), **fields}.items() if value is not None}
    return f"{address.partition('?')[0]}?{urlencode(kept, quote_via=quote)}"
