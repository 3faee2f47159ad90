"""A person with a browser, who signs in on a hub's page and approves a device: plain HTTP, cookies kept by hand.

By hand since the cookie is for TLS only, while most tests serve without.
"""

from __future__ import annotations

import html
import re
import ssl
from types import TracebackType
from typing import Self

import httpx

DEVICE_GRANT = "urn:ietf:params:oauth:grant-type:device_code"


class Browser:
    """Fills in the form on the last page that it got, as a browser would. Use it in a with-block."""

    def __init__(self, hub_url: str, *, verify: ssl.SSLContext | bool = True) -> None:
        self.url = hub_url
        self._client = httpx.Client(base_url=hub_url, verify=verify)
        self.cookie = ""
        #: Of a visit to the OpenID provider.
        self.visit_cookie = ""
        self.page: httpx.Response | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self._client.close()

    def open(self, user_code: str = "") -> httpx.Response:
        """Go to the page, with a code as in `verification_uri_complete`."""
        reply = self._client.get(
            "/device", params={"user_code": user_code} if user_code else None, headers=self._headers()
        )
        return self._took(reply)

    def send(self, **fields: str) -> httpx.Response:
        """Send the form on the page with these fields in place of its own."""
        return self.post({**self.hidden(), **fields})

    def post(self, form: dict[str, str], **headers: str) -> httpx.Response:
        """Send any form."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return self._took(self._client.post("/device", data=form, headers={**self._headers(), **named}))

    def sign_in(self, email: str, password: str, user_code: str = "") -> httpx.Response:
        """From nothing to what is shown after signing in."""
        self.open(user_code)
        return self.send(action="sign_in", email=email, password=password, user_code=user_code)

    def leave(self, user_code: str = "") -> str:
        """Choose to sign in at the OpenID provider; returns the address of its page."""
        self.open(user_code)
        sent = self.send(action="provider")
        assert sent.status_code == 200, sent.text
        return self.onward()

    def at_provider(self, address: str) -> str:
        """Go to the provider, which knows us; returns where it sends us back to."""
        reply = httpx.get(address)
        assert reply.status_code == 302, reply.text
        return reply.headers["location"]

    def come_back(self, address: str) -> httpx.Response:
        """Follow a link from the provider to the hub: another site's, so that no strict cookie is sent."""
        assert address.startswith(str(self._client.base_url)), address
        return self._took(self._client.get(address, headers={"cookie": self.visit_cookie} if self.visit_cookie else {}))

    def sign_in_at_provider(self, user_code: str = "") -> httpx.Response:
        """From nothing to what is shown after signing in at the provider."""
        page = self.come_back(self.at_provider(self.leave(user_code)))
        assert page.status_code == 200, page.text
        return self._took(self._client.get(self.onward(), headers=self._headers()))

    def onward(self) -> str:
        """The address to which the page goes on by itself."""
        assert self.page is not None
        found = re.search(r'<meta http-equiv="refresh" content="0; url=([^"]*)">', self.page.text)
        assert found, self.page.text
        return html.unescape(found[1])

    def hidden(self) -> dict[str, str]:
        """The hidden fields of the page."""
        assert self.page is not None
        found = re.findall(r'<input type="hidden" name="(\w+)" value="([^"]*)">', self.page.text)
        return {name: html.unescape(value) for name, value in found}

    def _headers(self) -> dict[str, str]:
        return {"cookie": self.cookie} if self.cookie else {}

    def _took(self, reply: httpx.Response) -> httpx.Response:
        for line in reply.headers.get_list("set-cookie"):
            cookie, kept = line.partition(";")[0], "Max-Age=0" not in line
            if cookie.startswith("__Host-ferryhub-visit="):
                self.visit_cookie = cookie if kept else ""
            else:
                self.cookie = cookie
        self.page = reply
        return reply


def approve(hub_url: str, user_code: str, email: str, password: str, *, verify: ssl.SSLContext | bool = True) -> None:
    """Sign in and approve the device that shows this code."""
    with Browser(hub_url, verify=verify) as browser:
        asked = browser.sign_in(email, password, user_code)
        assert "Approve this device?" in asked.text, asked.text
        done = browser.send(action="approve")
        assert "Approved" in done.text, done.text


class Device:
    """A client as RFC 8628 has it: gets a code, polls, refreshes. Each method returns the reply as it is."""

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.device_code = self.user_code = ""

    def start(self, scope: str | None = "read write", client_id: str = "ferryman") -> httpx.Response:
        form = {"client_id": client_id, **({"scope": scope} if scope is not None else {})}
        reply = self.client.post("/oauth/device_authorization", data=form)
        if reply.status_code == 200:
            self.device_code, self.user_code = reply.json()["device_code"], reply.json()["user_code"]
        return reply

    def poll(self) -> httpx.Response:
        form = {"grant_type": DEVICE_GRANT, "device_code": self.device_code, "client_id": "ferryman"}
        return self.client.post("/oauth/token", data=form)

    def refresh(self, refresh_token: str) -> httpx.Response:
        form = {"grant_type": "refresh_token", "refresh_token": refresh_token, "client_id": "ferryman"}
        return self.client.post("/oauth/token", data=form)

    def revoke(self, token: str) -> httpx.Response:
        return self.client.post("/oauth/revoke", data={"token": token, "client_id": "ferryman"})
