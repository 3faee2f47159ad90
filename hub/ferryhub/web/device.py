"""The page `/device`: sign in with e-mail and password, see what a device asks for, approve or deny it.

Every POST must carry the browser's form seal. Pages are rendered here and need no JavaScript. Where to go next is never
taken from the request.
"""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ferryhub.auth.service import Accounts, Person, WaitingDevice
from ferryhub.web.http import Request, Response, text_response
from ferryhub.web.seal import FormSeal, cookie_of, new_cookie, set_cookie
from ferrywire.reasons import FerryError

PATH: Final = "/device"
STYLE_PATH: Final = "/device.css"
_TEMPLATES: Final = Path(__file__).with_name("templates")
_MEANINGS: Final = {"read": "see and download your data", "write": "upload and change your data"}


@dataclass(frozen=True, slots=True, repr=False)
class _Visit:
    """A request with what its cookie says."""

    request: Request
    cookie: str
    person: Person | None = None
    #: The cookie is to be set.
    is_new: bool = False
    #: As typed; shown again, escaped.
    user_code: str = ""


class DevicePage:
    """Serves `/device` and its style sheet."""

    def __init__(self, accounts: Accounts, seal: FormSeal) -> None:
        self._accounts = accounts
        self._seal = seal
        self._pages = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )
        self._style = (_TEMPLATES / "device.css").read_bytes()
        self._actions: dict[str, Callable[[_Visit], Awaitable[Response]]] = {
            "sign_in": self._sign_in,
            "sign_out": self._sign_out,
            "approve": self._approve,
            "deny": self._deny,
        }

    async def __call__(self, request: Request) -> Response:
        """Answer one request."""
        if request.path == STYLE_PATH:
            return Response(200, self._style, "text/css; charset=utf-8", {"cache-control": "public, max-age=3600"})
        if request.method not in ("GET", "HEAD", "POST"):
            return text_response(405, "use GET or POST", allow="GET, HEAD, POST")
        fields = request.form if request.method == "POST" else request.query
        visit = replace(await self._visit(request), user_code=fields.get("user_code", "")[:40].strip())
        try:
            return await (self._post(visit) if request.method == "POST" else self._get(visit))
        except FerryError as error:
            return self._busy(visit, error)

    async def _visit(self, request: Request) -> _Visit:
        cookie = cookie_of(request.cookies)
        if not cookie:
            return _Visit(request, new_cookie(), is_new=True)
        return _Visit(request, cookie, await self._accounts.person(cookie))

    async def _get(self, visit: _Visit) -> Response:
        if visit.person is None:
            return self._page(visit, "sign_in.html", problem="")
        if not visit.user_code:
            return self._page(visit, "code.html", problem="")
        device = await self._accounts.find_device(visit.person, visit.user_code, visit.request.address)
        return self._unknown_code(visit) if device is None else self._ask(visit, device)

    async def _post(self, visit: _Visit) -> Response:
        form, sent_from = visit.request.form, visit.request.headers.get("sec-fetch-site", "same-origin")
        sealed = not visit.is_new and self._seal.fits(visit.cookie, form.get("csrf", ""))
        if not sealed or sent_from not in ("same-origin", "none"):
            problem = "This form is too old or came from another page. Nothing was changed. Please start again."
            return self._page(visit, "message.html", 403, title="Not accepted", text=problem)
        action = self._actions.get(form.get("action", ""))
        return text_response(400, "unknown action") if action is None else await action(visit)

    async def _sign_in(self, visit: _Visit) -> Response:
        form, address = visit.request.form, visit.request.address
        secret = await self._accounts.sign_in(form.get("email", ""), form.get("password", ""), address)
        if secret is None:
            return self._page(visit, "sign_in.html", 403, problem="E-mail address or password is wrong.")
        await self._accounts.sign_out(visit.cookie)
        # A new secret at sign-in: whoever knew the cookie before does not know this one.
        cookie = set_cookie(secret, max_age_s=round(self._accounts.options.browser_ttl_s))
        person = await self._accounts.person(secret)
        entered = replace(visit, cookie=secret, person=person, is_new=False)
        response = await self._get(entered)
        return replace(response, headers={**response.headers, "set-cookie": cookie})

    async def _sign_out(self, visit: _Visit) -> Response:
        await self._accounts.sign_out(visit.cookie)
        gone = replace(visit, cookie=new_cookie(), person=None, is_new=True)
        return self._page(gone, "message.html", title="Signed out", text="You are signed out of this page.")

    async def _approve(self, visit: _Visit) -> Response:
        text = "The device is signed in. You can close this page and go back to it."
        return await self._decide(visit, approve=True, title="Approved", text=text)

    async def _deny(self, visit: _Visit) -> Response:
        text = "The device was not signed in. If you did not start this, nothing else is needed."
        return await self._decide(visit, approve=False, title="Denied", text=text)

    async def _decide(self, visit: _Visit, *, approve: bool, title: str, text: str) -> Response:
        if visit.person is None:
            return self._page(visit, "sign_in.html", 403, problem="Please sign in again.")
        address = visit.request.address
        if not await self._accounts.decide(visit.person, visit.user_code, address, approve=approve):
            return self._unknown_code(visit)
        return self._page(visit, "message.html", title=title, text=text)

    def _ask(self, visit: _Visit, device: WaitingDevice) -> Response:
        asked_at = datetime.fromtimestamp(device.asked_at / 1e6, UTC).strftime("%Y-%m-%d %H:%M UTC")
        may = [_MEANINGS.get(scope, scope) for scope in device.scopes]
        return self._page(visit, "approve.html", device=device, asked_at=asked_at, may=may)

    def _unknown_code(self, visit: _Visit) -> Response:
        problem = "No device waits with this code. Check it, or start again on the device for a new one."
        return self._page(visit, "code.html", 404, problem=problem)

    def _busy(self, visit: _Visit, error: FerryError) -> Response:
        wait_s = math.ceil(error.retry_after_s or 1.0)
        status = 429 if error.reason == "RATE_LIMITED" else 503
        text = f"Too many attempts. Please wait {max(1, math.ceil(wait_s / 60))} min and try again."
        page = self._page(visit, "message.html", status, title="Please wait", text=text)
        return replace(page, headers={**page.headers, "retry-after": str(wait_s)})

    def _page(self, visit: _Visit, template: str, status: int = 200, **values: Any) -> Response:
        known = {"csrf": self._seal.token(visit.cookie), "person": visit.person, "user_code": visit.user_code}
        html = self._pages.get_template(template).render(**known, **values)
        headers = {"set-cookie": set_cookie(visit.cookie)} if visit.is_new else {}
        return Response(status, html.encode(), "text/html; charset=utf-8", headers)
