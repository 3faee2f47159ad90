"""What every page of the site is made of: the visit with what its cookie says, and the templates.

Rendered here, escaped, without JavaScript. What a page decides is in `device.py` and `provider.py`.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from ferryhub.auth.service import Person
from ferryhub.web.http import Request, Response
from ferryhub.web.seal import FormSeal, set_cookie

PATH: Final = "/device"
STYLE_PATH: Final = "/device.css"
CALLBACK_PATH: Final = "/device/callback"
_TEMPLATES: Final = Path(__file__).with_name("templates")


@dataclass(frozen=True, slots=True, repr=False)
class Visit:
    """A request with what its cookie says."""

    request: Request
    cookie: str
    person: Person | None = None
    #: The cookie is to be set.
    is_new: bool = False
    #: As typed; shown again, escaped.
    user_code: str = ""


class Pages:
    """Renders. `provider` is what people call the OpenID provider, empty for none; `passwords`: are there any."""

    def __init__(self, seal: FormSeal, *, provider: str, passwords: bool) -> None:
        self.seal = seal
        self.style = (_TEMPLATES / "device.css").read_bytes()
        self._ways = {"provider": provider, "passwords": passwords}
        self._templates = Environment(
            loader=FileSystemLoader(_TEMPLATES), autoescape=True, undefined=StrictUndefined, auto_reload=False
        )

    def page(self, visit: Visit, template: str, status: int = 200, **values: Any) -> Response:
        """One page; the cookie of a new browser goes with it."""
        known = {"csrf": self.seal.token(visit.cookie), "person": visit.person, "user_code": visit.user_code}
        html = self._templates.get_template(template).render(**known, **self._ways, **values)
        cookies = (set_cookie(visit.cookie),) if visit.is_new else ()
        return Response(status, html.encode(), "text/html; charset=utf-8", cookies=cookies)

    def message(self, visit: Visit, title: str, text: str, status: int = 200) -> Response:
        """A page that says one thing."""
        return self.page(visit, "message.html", status, title=title, text=text)
