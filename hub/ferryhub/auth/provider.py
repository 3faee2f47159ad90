"""An OpenID provider as this hub sees it: where to send browsers, and who somebody is who came back with a code.

Authorization code with PKCE. What the provider says is believed only when its signature, issuer, audience, times and
nonce are right. Loaded only by a hub that has a provider. No database, no web page.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import quote, urlsplit

import httpx
from authlib.oauth2.rfc6749.parameters import prepare_grant_uri
from authlib.oauth2.rfc7636 import create_s256_code_challenge
from authlib.oidc.core import CodeIDToken
from joserfc import jwt
from joserfc.errors import InvalidKeyIdError, JoseError
from joserfc.jwk import KeySet

from ferryhub.auth.options import ProviderOptions

# They write every address to the log, and at DEBUG the client secret.
for _name in ("httpx", "httpcore"):
    logging.getLogger(_name).setLevel(logging.WARNING)

#: Public keys only: neither `none` nor a shared secret, for which a public key could be taken.
_ALGORITHMS: Final = tuple(f"{family}{bits}" for family in ("RS", "PS", "ES") for bits in (256, 384, 512))
_KEY_TYPES: Final = ("RSA", "EC")
_SCOPE: Final = "openid email profile"
#: How far the provider's clock may be off, in seconds.
_LEEWAY_S: Final = 60
#: For everything that the provider is asked during one sign-in, in seconds.
_PATIENCE_S: Final = 15.0
_TIMEOUT: Final = httpx.Timeout(10.0, connect=5.0)
_NEEDED: Final = ("authorization_endpoint", "token_endpoint", "jwks_uri")
_METADATA_TTL_S: Final = 3600.0
_LOOPBACK: Final = ("127.0.0.1", "::1", "localhost")
_MAX_SUBJECT: Final = 255  # OpenID Connect Core 2


class ProviderError(Exception):
    """The provider could not be asked (`is_down`), or its answer cannot be trusted. The text is for the log alone."""

    def __init__(self, why: str, *, is_down: bool = False) -> None:
        super().__init__(why)
        self.is_down = is_down


@dataclass(frozen=True, slots=True, repr=False)
class Identity:
    """Who somebody is, by the provider's word."""

    issuer: str
    subject: str
    email: str
    email_verified: bool
    name: str


@dataclass(frozen=True, slots=True, repr=False)
class Proofs:
    """What binds an answer to one browser and one request; known to this hub alone until used."""

    state: str
    nonce: str
    verifier: str


class Provider:
    """Asks the provider. `close()` it; nothing is asked before the first use."""

    def __init__(self, options: ProviderOptions, *, clock_s: Callable[[], float] = time.monotonic) -> None:
        check_address(options.issuer)
        self.options = options
        self._clock_s = clock_s
        self._client = httpx.AsyncClient(timeout=_TIMEOUT, headers={"accept": "application/json"})
        self._metadata: Mapping[str, Any] = {}
        self._stale_at_s = 0.0
        self._keys: KeySet | None = None

    async def close(self) -> None:
        """Close the connections."""
        await self._client.aclose()

    async def address(self, proofs: Proofs) -> str:
        """Where to send a browser. Error: `ProviderError`."""
        async with _patience():
            metadata = await self._known()
        asked = {"scope": _SCOPE, "state": proofs.state, "nonce": proofs.nonce}
        challenge = {"code_challenge": create_s256_code_challenge(proofs.verifier), "code_challenge_method": "S256"}
        where = {"client_id": self.options.client_id, "redirect_uri": self.options.redirect_uri}
        place = _endpoint(metadata, "authorization_endpoint")
        address: str = prepare_grant_uri(place, response_type="code", **where, **asked, **challenge)
        return address

    async def identity(self, code: str, issuer: str | None, proofs: Proofs) -> Identity:
        """Who came back with this code, and perhaps with the name of its issuer (RFC 9207). Error: `ProviderError`."""
        async with _patience():
            metadata = await self._known()
            named = metadata.get("authorization_response_iss_parameter_supported") is True
            if issuer != self.options.issuer and (named or issuer is not None):
                raise ProviderError("the code is another issuer's")
            answer = await self._exchange(metadata, code, proofs.verifier)
            claims = await self._claims(metadata, answer, proofs.nonce)
            about = claims if "email" in claims else await self._userinfo(metadata, answer, claims)
        return Identity(
            issuer=self.options.issuer,
            subject=claims["sub"],
            email=_text(about, "email"),
            # Some send the word; what it says is as plain.
            email_verified=about.get("email_verified") in (True, "true"),
            name=_text(about, "name"),
        )

    async def _known(self) -> Mapping[str, Any]:
        if self._clock_s() >= self._stale_at_s:
            found = await self._get(f"{self.options.issuer.rstrip('/')}/.well-known/openid-configuration")
            if found.get("issuer") != self.options.issuer:
                raise ProviderError(f"it calls itself {str(found.get('issuer'))[:200]!r}, not {self.options.issuer!r}")
            for name in _NEEDED:
                _endpoint(found, name)
            self._metadata, self._keys = found, None
            self._stale_at_s = self._clock_s() + _METADATA_TTL_S
        return self._metadata

    async def _exchange(self, metadata: Mapping[str, Any], code: str, verifier: str) -> Mapping[str, Any]:
        options = self.options
        form = {"grant_type": "authorization_code", "code": code, "code_verifier": verifier}
        form["redirect_uri"] = options.redirect_uri
        methods = metadata.get("token_endpoint_auth_methods_supported", ["client_secret_basic"])
        auth = None
        if "client_secret_basic" in methods:
            # RFC 6749 2.3.1: as in a form, then as in Basic.
            auth = httpx.BasicAuth(quote(options.client_id, safe=""), quote(options.client_secret, safe=""))
        else:
            form |= {"client_id": options.client_id, "client_secret": options.client_secret}
        request = self._client.build_request("POST", _endpoint(metadata, "token_endpoint"), data=form)
        return await self._ask(request, auth)

    async def _claims(self, metadata: Mapping[str, Any], answer: Mapping[str, Any], nonce: str) -> Mapping[str, Any]:
        options = self.options
        try:
            token = await self._verified(metadata, _text(answer, "id_token"))
            required = {"iss": {"essential": True, "value": options.issuer}}
            required |= {"aud": {"essential": True, "value": options.client_id}}
            known = {"nonce": nonce, "client_id": options.client_id, "access_token": answer.get("access_token")}
            claims = CodeIDToken(token.claims, token.header, required, known)
            claims.validate(leeway=_LEEWAY_S)
        except (JoseError, ValueError, TypeError, KeyError) as error:
            raise ProviderError(f"its ID token is not right: {type(error).__name__}: {error}") from error
        if claims["iss"] != options.issuer or not 0 < len(_text(claims, "sub")) <= _MAX_SUBJECT:
            raise ProviderError("its ID token has no issuer or no subject")
        return dict(claims)

    async def _verified(self, metadata: Mapping[str, Any], id_token: str) -> jwt.Token:
        if self._keys is not None:
            try:
                return jwt.decode(id_token, self._keys, algorithms=_ALGORITHMS)
            except InvalidKeyIdError:
                """It has a new key since; ask for it."""
        found = await self._get(_endpoint(metadata, "jwks_uri"))
        self._keys = KeySet.import_key_set({"keys": [key for key in found["keys"] if _signs(key)]})
        return jwt.decode(id_token, self._keys, algorithms=_ALGORITHMS)

    async def _userinfo(
        self, metadata: Mapping[str, Any], answer: Mapping[str, Any], claims: Mapping[str, Any]
    ) -> Mapping[str, Any]:
        """Providers may keep the address out of the ID token; the token's subject must be the same."""
        if "userinfo_endpoint" not in metadata:
            return claims
        bearer = {"authorization": f"Bearer {_text(answer, 'access_token')}"}
        about = await self._get(_endpoint(metadata, "userinfo_endpoint"), bearer)
        if about.get("sub") != claims["sub"]:
            raise ProviderError("it tells about somebody else than who signed in")
        return about

    async def _get(self, address: str, headers: Mapping[str, str] | None = None) -> Mapping[str, Any]:
        return await self._ask(self._client.build_request("GET", address, headers=headers))

    async def _ask(self, request: httpx.Request, auth: httpx.BasicAuth | None = None) -> Mapping[str, Any]:
        try:
            reply = await self._client.send(request, auth=auth)
            found = reply.json() if reply.status_code == httpx.codes.OK else None
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            raise ProviderError(f"{request.url.path}: {type(error).__name__}", is_down=True) from error
        except ValueError as error:
            raise ProviderError(f"{request.url.path}: the answer is no JSON") from error
        if not isinstance(found, dict):
            is_down = reply.status_code >= httpx.codes.INTERNAL_SERVER_ERROR
            raise ProviderError(f"{request.url.path}: HTTP {reply.status_code}", is_down=is_down)
        return found


def check_address(address: object) -> str:
    """An https URL; plain http only on this machine. Error: `RuntimeError`."""
    parts = urlsplit(address if isinstance(address, str) else "")
    if not parts.hostname or not (parts.scheme == "https" or (parts.scheme == "http" and parts.hostname in _LOOPBACK)):
        raise RuntimeError(f"'{address}' is not an https address")
    return str(address)


def _endpoint(metadata: Mapping[str, Any], name: str) -> str:
    try:
        return check_address(metadata.get(name))
    except (RuntimeError, ValueError) as error:
        raise ProviderError(f"{name}: {error}") from error


def _signs(key: Any) -> bool:
    return isinstance(key, dict) and key.get("kty") in _KEY_TYPES and key.get("use") != "enc"


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    return value if isinstance(value, str) else ""


@asynccontextmanager
async def _patience() -> AsyncIterator[None]:
    try:
        async with asyncio.timeout(_PATIENCE_S):
            yield
    except TimeoutError as error:
        raise ProviderError("it takes too long to answer", is_down=True) from error
