"""OAuth 2.0 by Authlib's core: device authorization (RFC 8628), refresh (RFC 6749 6) and revocation (RFC 7009).

An adapter per request, around one connection: Authlib checks the protocol, `devices.py` and `signins.py` keep the
state. Everything here runs in a database thread, inside one transaction. No HTTP: a form comes in, a `Reply` goes out.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from authlib.oauth2 import OAuth2Request
from authlib.oauth2.rfc6749 import (
    AuthorizationServer,
    ClientMixin,
    InvalidGrantError,
    InvalidScopeError,
    RefreshTokenGrant,
)
from authlib.oauth2.rfc6749.requests import BasicOAuth2Payload
from authlib.oauth2.rfc7009 import RevocationEndpoint
from authlib.oauth2.rfc8628 import DEVICE_CODE_GRANT_TYPE, DeviceAuthorizationEndpoint, DeviceCodeGrant
from sqlalchemy import Connection, Row

from ferryhub.auth import devices, signins
from ferryhub.auth.options import AuthOptions
from ferryhub.catalogue import tokens
from ferryhub.catalogue.clock import now_us

# At DEBUG Authlib writes every token it issues to the log.
logging.getLogger("authlib").setLevel(logging.WARNING)

#: The one public client: every `ferryd`. It has no secret, since everybody can read one.
CLIENT_ID: Final = "ferryman"
#: What a device can be given. `admin` is for tokens that the operator makes.
SCOPES: Final = ("read", "write")
#: Authlib asks for TLS. Whether there is any is the operator's to see to: it may end at a proxy.
_URI: Final = "https://hub/oauth"


@dataclass(frozen=True, slots=True, repr=False)
class Reply:
    """What goes back to the client, as JSON."""

    status: int
    body: Mapping[str, Any]


@dataclass(frozen=True, slots=True, repr=False)
class Call:
    """One request of a client."""

    form: Mapping[str, str]
    #: Where the hub is for its users, without a slash at the end.
    base_url: str
    #: The network address of the client.
    address: str


def device_authorization(conn: Connection, call: Call, options: AuthOptions) -> Reply:
    """RFC 8628 3.1: hand out a device code and a user code."""
    server = _Server(conn, call, options)
    server.register_endpoint(_DeviceAuthorization(server))
    return server.reply(server.create_endpoint_response("device_authorization", call))


def token(conn: Connection, call: Call, options: AuthOptions) -> Reply:
    """RFC 6749 3.2: exchange an approved device code or a refresh token for a pair of tokens."""
    server = _Server(conn, call, options)
    server.register_grant(_DeviceCode)
    server.register_grant(_Refresh)
    return server.reply(server.create_token_response(call))


def revoke(conn: Connection, call: Call, options: AuthOptions) -> Reply:
    """RFC 7009: make a token worthless. Succeeds for one that is not known."""
    server = _Server(conn, call, options)
    server.register_endpoint(_Revocation(server))
    return server.reply(server.create_endpoint_response("revocation", call))


class _Request(OAuth2Request):
    def __init__(self, form: Mapping[str, str]) -> None:
        super().__init__("POST", _URI, headers={})
        self.payload = BasicOAuth2Payload(dict(form))

    @property
    def form(self) -> Mapping[str, str]:
        data: Mapping[str, str] = self.payload.data
        return data


class _Client(ClientMixin):
    def get_client_id(self) -> str:
        return CLIENT_ID

    def check_grant_type(self, grant_type: str) -> bool:
        return grant_type in (DEVICE_CODE_GRANT_TYPE, "refresh_token")

    def check_endpoint_auth_method(self, method: str, endpoint: str) -> bool:
        return method == "none"


class _Server(AuthorizationServer):
    def __init__(self, conn: Connection, call: Call, options: AuthOptions) -> None:
        super().__init__(scopes_supported=SCOPES)
        self.conn, self.call, self.options = conn, call, options
        self.register_token_generator("default", self._new_pair)

    def query_client(self, client_id: str) -> _Client | None:
        return _Client() if client_id == CLIENT_ID else None

    def create_oauth2_request(self, request: Call) -> _Request:
        return _Request(request.form)

    def handle_response(self, status: int, body: Mapping[str, Any], headers: object) -> Reply:
        return Reply(status, body)

    def reply(self, made: Any) -> Reply:
        if not isinstance(made, Reply):
            raise RuntimeError("Authlib gave no reply")
        return made

    def send_signal(self, name: str, *args: Any, **kwargs: Any) -> None:
        """Nobody listens."""

    def save_token(self, token: Mapping[str, Any], request: _Request) -> None:
        options = self.options
        pair = signins.Pair(token["access_token"], token["refresh_token"], options.access_ttl_s, options.refresh_ttl_s)
        if request.refresh_token is not None:
            signins.exchange(self.conn, request.refresh_token.row, pair)
            return
        device = request.credential.row
        if not devices.use(self.conn, device):
            raise InvalidGrantError("the account that approved this device is not active")
        sign_in = signins.begin(self.conn, device.principal_id, device.client_id, device.scopes)
        signins.add_pair(self.conn, sign_in, pair)

    def _new_pair(self, *, scope: str, **_: Any) -> dict[str, Any]:
        return {
            "token_type": "Bearer",
            "access_token": tokens.new_secret(tokens.PREFIX),
            "refresh_token": tokens.new_secret(signins.REFRESH_PREFIX),
            "expires_in": round(self.options.access_ttl_s),
            "scope": scope,
        }


class _Credential:
    """A row as Authlib wants to see it."""

    def __init__(self, row: Row[Any]) -> None:
        self.row = row

    def get_client_id(self) -> str:
        client_id: str = self.row.client_id
        return client_id

    def check_client(self, client: _Client) -> bool:
        return self.get_client_id() == client.get_client_id()

    def get_scope(self) -> str:
        scopes: str = self.row.scopes
        return scopes

    def get_user_code(self) -> _Credential:
        # Only its digest is known; the row says all that Authlib wants to know of it.
        return self

    def is_expired(self) -> bool:
        return bool(self.row.expires_at <= now_us())


class _DeviceAuthorization(DeviceAuthorizationEndpoint):
    CLIENT_AUTH_METHODS: Final = ["none"]

    def __init__(self, server: _Server) -> None:
        super().__init__(server)
        self.EXPIRES_IN = round(server.options.device_ttl_s)
        self.INTERVAL = server.options.device_interval_s

    def get_verification_uri(self) -> str:
        return f"{self.server.call.base_url}/device"

    def save_device_credential(self, client_id: str, scope: str | None, data: Mapping[str, Any]) -> None:
        options, address = self.server.options, self.server.call.address
        scopes = tokens.words((scope or " ".join(SCOPES)).split())
        codes = (data["device_code"], data["user_code"])
        new = devices.NewDevice(*codes, client_id, scopes, address, options.device_ttl_s, options.device_interval_s)
        devices.add(self.server.conn, new)


class _DeviceCode(DeviceCodeGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: Final = ["none"]

    def query_device_credential(self, device_code: str) -> _Credential:
        row = devices.by_device_code(self.server.conn, device_code)
        if row is None:
            raise InvalidGrantError("the device code is not known, or was used")
        return _Credential(row)

    def query_user_grant(self, user_code: _Credential) -> tuple[str, bool] | None:
        row = user_code.row
        return None if row.state == "pending" else (row.principal_id, row.state == "approved")

    def should_slow_down(self, credential: _Credential) -> bool:
        return devices.polls_too_soon(self.server.conn, credential.row)


class _Refresh(RefreshTokenGrant):
    TOKEN_ENDPOINT_AUTH_METHODS: Final = ["none"]
    INCLUDE_NEW_REFRESH_TOKEN: Final = True

    def authenticate_refresh_token(self, refresh_token: str) -> _Credential | None:
        row = signins.present(self.server.conn, refresh_token, grace_s=self.server.options.refresh_grace_s)
        return None if row is None else _Credential(row)

    def authenticate_user(self, refresh_token: _Credential) -> str:
        principal_id: str = refresh_token.row.principal_id
        return principal_id

    def issue_token(self, user: str, refresh_token: _Credential) -> dict[str, Any]:
        # Fewer scopes for one access token are not worth a second kind of row: ask for none, get all.
        if self.request.payload.scope and tokens.words(self.request.payload.scope.split()) != refresh_token.get_scope():
            raise InvalidScopeError("a refresh gives the scopes of the sign-in")
        pair: dict[str, Any] = self.generate_token(user=user, scope=refresh_token.get_scope())
        return pair

    def revoke_old_credential(self, refresh_token: _Credential) -> None:
        """Done by `signins.exchange`."""


class _Revocation(RevocationEndpoint):
    CLIENT_AUTH_METHODS: Final = ["none"]

    def query_token(self, token_string: str, token_type_hint: str | None) -> _Held:
        return _Held(token_string)

    def revoke_token(self, token: _Held, request: _Request) -> None:
        signins.revoke(self.server.conn, token.secret)


class _Held:
    """A token in somebody's hands: who has it may give it up, whichever client it was made for."""

    def __init__(self, secret: str) -> None:
        self.secret = secret

    def check_client(self, client: _Client) -> bool:
        return True
