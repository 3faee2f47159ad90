"""The page `/device`: sign in with e-mail and password, see what a device asks for, approve or deny it.

Every POST must carry the browser's form seal. Pages are rendered here and need no JavaScript. Where to go next is never
taken from the request.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import replace
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

from ferryhub.auth.limits import network_of
from ferryhub.auth.service import Accounts, WaitingDevice
from ferryhub.web.http import Request, Response, text_response
from ferryhub.web.pages import CALLBACK_PATH, STYLE_PATH, Pages, Visit
from ferryhub.web.seal import cookie_of, new_cookie, set_cookie
from ferrywire.reasons import FerryError

if TYPE_CHECKING:
    from ferryhub.web.provider import ProviderPage

_MEANINGS: Final = {"read": "see and download your data", "write": "upload and change your data"}


class DevicePage:
    """Serves `/device`, its style sheet and, with a provider, `/device/callback`."""

    def __init__(self, accounts: Accounts, pages: Pages, provider: ProviderPage | None) -> None:
        self._accounts = accounts
        self._pages = pages
        self._provider = provider
        self._actions: dict[str, Callable[[Visit], Awaitable[Response]]] = {
            "sign_out": self._sign_out,
            "approve": self._approve,
            "deny": self._deny,
        }
        if accounts.options.passwords:
            self._actions["sign_in"] = self._sign_in
        if provider is not None:
            self._actions["provider"] = provider.leave

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == STYLE_PATH:
            return Response(
                200, self._pages.style, "text/css; charset=utf-8", {"cache-control": "public, max-age=3600"}
            )
        if request.method not in ("GET", "HEAD", "POST"):
            return text_response(405, "use GET or POST", allow="GET, HEAD, POST")
        fields = request.form if request.method == "POST" else request.query
        visit = replace(await self._visit(request), user_code=fields.get("user_code", "")[:40].strip())
        try:
            if request.path == CALLBACK_PATH:
                return await self._come_back(visit)
            return await (self._post(visit) if request.method == "POST" else self._get(visit))
        except FerryError as error:
            return self._busy(visit, error)

    async def _come_back(self, visit: Visit) -> Response:
        return text_response(404, "not found") if self._provider is None else await self._provider.come_back(visit)

    async def _visit(self, request: Request) -> Visit:
        cookie = cookie_of(request.cookies)
        if not cookie:
            return Visit(request, new_cookie(), is_new=True)
        return Visit(request, cookie, await self._accounts.person(cookie))

    async def _get(self, visit: Visit) -> Response:
        if visit.person is None:
            return self._pages.page(visit, "sign_in.html", problem="")
        if not visit.user_code:
            return self._pages.page(visit, "code.html", problem="")
        device = await self._accounts.find_device(visit.person, visit.user_code, visit.request.address)
        return self._unknown_code(visit) if device is None else self._ask(visit, device)

    async def _post(self, visit: Visit) -> Response:
        form, sent_from = visit.request.form, visit.request.headers.get("sec-fetch-site", "same-origin")
        sealed = not visit.is_new and self._pages.seal.fits(visit.cookie, form.get("csrf", ""))
        if not sealed or sent_from not in ("same-origin", "none"):
            problem = "This form is too old or came from another page. Nothing was changed. Please start again."
            return self._pages.message(visit, "Not accepted", problem, 403)
        action = self._actions.get(form.get("action", ""))
        return text_response(400, "unknown action") if action is None else await action(visit)

    async def _sign_in(self, visit: Visit) -> Response:
        form, address = visit.request.form, visit.request.address
        secret = await self._accounts.sign_in(form.get("email", ""), form.get("password", ""), address)
        if secret is None:
            return self._pages.page(visit, "sign_in.html", 403, problem="E-mail address or password is wrong.")
        await self._accounts.sign_out(visit.cookie)
        # A new secret at sign-in: whoever knew the cookie before does not know this one.
        cookie = set_cookie(secret, max_age_s=round(self._accounts.options.browser_ttl_s))
        person = await self._accounts.person(secret)
        entered = replace(visit, cookie=secret, person=person, is_new=False)
        response = await self._get(entered)
        return replace(response, cookies=(cookie,))

    async def _sign_out(self, visit: Visit) -> Response:
        await self._accounts.sign_out(visit.cookie)
        gone = replace(visit, cookie=new_cookie(), person=None, is_new=True)
        return self._pages.message(gone, "Signed out", "You are signed out of this page.")

    async def _approve(self, visit: Visit) -> Response:
        text = "The device is signed in. You can close this page and go back to it."
        return await self._decide(visit, approve=True, title="Approved", text=text)

    async def _deny(self, visit: Visit) -> Response:
        text = "The device was not signed in. If you did not start this, nothing else is needed."
        return await self._decide(visit, approve=False, title="Denied", text=text)

    async def _decide(self, visit: Visit, *, approve: bool, title: str, text: str) -> Response:
        if visit.person is None:
            return self._pages.page(visit, "sign_in.html", 403, problem="Please sign in again.")
        address = visit.request.address
        if not await self._accounts.decide(visit.person, visit.user_code, address, approve=approve):
            return self._unknown_code(visit)
        return self._pages.message(visit, title, text)

    def _ask(self, visit: Visit, device: WaitingDevice) -> Response:
        asked_at = datetime.fromtimestamp(device.asked_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        may = [_MEANINGS.get(scope, scope) for scope in device.scopes]
        elsewhere = network_of(visit.request.address) != network_of(device.address)
        here = visit.request.address if elsewhere else ""
        return self._pages.page(visit, "approve.html", device=device, asked_at=asked_at, may=may, here=here)

    def _unknown_code(self, visit: Visit) -> Response:
        problem = "No device waits with this code. Check it, or start again on the device for a new one."
        return self._pages.page(visit, "code.html", 404, problem=problem)

    def _busy(self, visit: Visit, error: FerryError) -> Response:
        wait_s = math.ceil(error.retry_after_s or 1.0)
        status = 429 if error.reason == "RATE_LIMITED" else 503
        text = f"Too many attempts. Please wait {max(1, math.ceil(wait_s / 60))} min and try again."
        page = self._pages.message(visit, "Please wait", text, status)
        return replace(page, headers={**page.headers, "retry-after": str(wait_s)})
