"""The two pages around an OpenID provider: the one that sends a browser there, and the one that it comes back to.

Both go on by themselves to an address that is made here: a redirect after a form would need the provider, and every
site it uses, in the page's policy; and with one after coming back no strict cookie would be sent. Loaded only by a hub
that has a provider.
"""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import Final
from urllib.parse import quote

from ferryhub.auth.devices import normalized
from ferryhub.auth.links import NotWelcome
from ferryhub.auth.options import AuthOptions
from ferryhub.auth.provider import ProviderError
from ferryhub.auth.upstream import VISIT_TTL_S, Upstream
from ferryhub.web.http import Response, text_response
from ferryhub.web.pages import PATH, Pages, Visit
from ferryhub.web.seal import set_cookie, set_visit, visit_of

_log = logging.getLogger(__name__)

_WHY: Final = {
    "stale": "This sign-in is too old, or was not begun in this browser. Please start again.",
    "cancelled": "The sign-in was cancelled. Nothing was changed.",
    "unverified": "{provider} does not say that your e-mail address is verified, so the hub cannot tell who you are.",
    "unknown": "You have no account on this hub. Please ask its operator for one.",
    "taken": "Your e-mail address is that of another account on this hub. Please ask its operator.",
    "disabled": "Your account on this hub is shut. Please ask its operator.",
}


class ProviderPage:
    """Sends browsers away and lets them in."""

    def __init__(self, upstream: Upstream, pages: Pages, options: AuthOptions) -> None:
        self._upstream = upstream
        self._pages = pages
        self._options = options

    async def leave(self, visit: Visit) -> Response:
        """Send a browser to the provider. Error: `RATE_LIMITED`."""
        try:
            leaving = await self._upstream.leave(visit.request.address)
        except ProviderError as error:
            return self._failed(visit, error)
        page = self._pages.page(visit, "onward.html", title=f"Sign in with {self._upstream.name}", to=leaving.address)
        kept = set_visit(leaving.secret, normalized(visit.user_code), max_age_s=VISIT_TTL_S)
        return replace(page, cookies=(*page.cookies, kept))

    async def come_back(self, visit: Visit) -> Response:
        """Let a browser in that was at the provider, once."""
        if visit.request.method != "GET":
            return text_response(405, "use GET", allow="GET")
        # The strict cookie of a link from another site is not sent, and so not known to be missing.
        visit = replace(visit, is_new=False)
        secret, user_code = visit_of(visit.request.cookies)
        try:
            entered = await self._upstream.come_back(secret, visit.request.query)
        except ProviderError as error:
            return self._back(self._failed(visit, error))
        except NotWelcome as error:
            _log.info("provider_sign_in_refused why=%s address=%s", error.why, visit.request.address)
            text = _WHY[error.why].format(provider=self._upstream.name)
            return self._back(self._pages.message(visit, "Not signed in", text, 403))
        code = normalized(user_code)
        to = f"{PATH}?user_code={quote(code)}" if code else PATH
        page = self._pages.page(visit, "onward.html", title="Signed in", to=to)
        cookie = set_cookie(entered, max_age_s=round(self._options.browser_ttl_s))
        return self._back(replace(page, cookies=(cookie,)))

    def _failed(self, visit: Visit, error: ProviderError) -> Response:
        _log.warning("provider_failed provider=%s why=%s", self._upstream.name, error)
        name = self._upstream.name
        if error.is_down:
            text = f"{name} cannot be reached just now. Please try again in a minute."
            return self._pages.message(visit, "Not signed in", text, 503)
        text = f"What {name} answered cannot be trusted. Please tell the operator of this hub."
        return self._pages.message(visit, "Not signed in", text, 502)

    def _back(self, page: Response) -> Response:
        return replace(page, cookies=(*page.cookies, set_visit("", "", max_age_s=0)))
