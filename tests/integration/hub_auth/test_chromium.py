"""The page in a real browser: by keyboard alone, without scripts, 320 pixels wide; to the OpenID provider and back."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.integration.hub_auth.conftest import PASSWORD, identity
from tests.integration.hub_auth.test_provider import options
from tests.integration.hub_auth.test_provider_setup import serving
from tests.support import chromium, openid
from tests.support.hubs import HubServer
from tests.support.openid import OpenIdProvider
from tests.support.ports import free_port
from tests.support.signin import Device
from tests.support.waiting import wait_for

pytestmark = [pytest.mark.slow, pytest.mark.skipif(not chromium.PROGRAM, reason="no Chromium is installed")]

KEYS = {"Tab": 9, "Enter": 13}
LONG = "a-person-with-a-very-long-address-indeed@department-of-long-names.university.example.org"


class Person(chromium.Chromium):
    """Who has no mouse, no scripts and a small screen."""

    def __enter__(self) -> Any:
        entered = super().__enter__()
        self._call("Emulation.setScriptExecutionDisabled", value=True)
        size = {"width": 320, "height": 480, "deviceScaleFactor": 1, "mobile": False}
        self._call("Emulation.setDeviceMetricsOverride", **size)
        return entered

    def type(self, text: str) -> None:
        self._call("Input.insertText", text=text)

    def press(self, *keys: str) -> None:
        for key in keys:
            named = {"key": key, "code": key, "windowsVirtualKeyCode": KEYS[key]}
            typed = {"text": "\r"} if key == "Enter" else {}
            self._call("Input.dispatchKeyEvent", type="keyDown", **named, **typed)
            self._call("Input.dispatchKeyEvent", type="keyUp", **named)

    def enter(self, shown: str) -> None:
        """Press Enter, and wait until the next page shows this."""
        self.leave(lambda: self.press("Enter"), shown)

    @property
    def focus(self) -> str:
        """What the keyboard talks to: an input's name, a button's text."""
        named = "(each => each.name && each.name != 'action' ? each.name : each.textContent)"
        return str(self._run(f"{named}(document.activeElement)"))

    def wait_for_focus(self, name: str) -> None:
        """The browser moves it when it draws the page."""
        wait_for(lambda: self.focus == name, what=f"{name!r} to have the focus")

    @property
    def address(self) -> str:
        """Of the page, as others could read it over the shoulder or in the history."""
        return str(self._run("location.href"))

    def fits(self) -> bool:
        """Nothing has to be scrolled for sideways."""
        return bool(self._run("document.documentElement.scrollWidth <= 320"))


@pytest.fixture(scope="module")
def served() -> Iterator[OpenIdProvider]:
    # Another site than the hub's 127.0.0.1.
    with openid.provider("localhost") as provider:
        yield provider


@pytest.fixture(scope="module")
def hub(tmp_path_factory: pytest.TempPathFactory, served: OpenIdProvider) -> Iterator[HubServer]:
    root, url = tmp_path_factory.mktemp("chromium"), f"http://127.0.0.1:{free_port()}"
    with serving(root / "hub", url, *options(served, url, root / "secret")) as server:
        server.add_user(LONG, PASSWORD)
        yield server


def test_by_keyboard_on_a_small_screen_without_scripts(hub: HubServer, client: httpx.Client, device: Device) -> None:
    uri = device.start().json()["verification_uri"]
    with Person() as person:
        person.open(uri, "Sign in to see what it asks for")
        person.press("Tab")
        person.wait_for_focus("Sign in with The University")
        person.press("Tab")
        person.wait_for_focus("email")
        assert person.fits()
        person.type(LONG)
        person.press("Tab")
        person.type("wrong")
        person.enter("password is wrong")
        assert person.fits()
        person.press("Tab", "Tab")
        person.type(LONG)
        person.press("Tab")
        person.type(PASSWORD)
        person.enter("Enter the code")
        assert person.fits()
        person.wait_for_focus("user_code")
        person.type("bbbb-bbbb")
        person.enter("No device waits with this code")
        person.wait_for_focus("user_code")
        assert person.fits()
        # The wrong one is still there, to be corrected.
        person.fill(user_code=device.user_code.lower())
        person.enter("Approve this device?")
        assert person.fits()
        person.press("Tab")
        person.wait_for_focus("Approve")
        assert person.style("button:focus", "outlineWidth") == "3px"
        person.enter("Approved")
        assert person.fits()
    assert identity(client, device.poll().json()["access_token"]).json()["email"] == LONG


@pytest.mark.parametrize("asks", [True, False])
def test_to_the_provider_on_another_site_and_back(
    hub: HubServer, served: OpenIdProvider, client: httpx.Client, device: Device, asks: bool
) -> None:
    """Real rules for cookies, policies and redirects: nothing here needs a browser that is lenient."""
    served.asks = asks
    uri = device.start().json()["verification_uri_complete"]
    with Person() as person:
        person.open(uri, "Sign in to see what it asks for")
        if asks:
            person.click("Sign in with The University", "Continue as Ann Lee")
            person.click("Continue as Ann Lee", "Approve this device?")
        else:
            person.click("Sign in with The University", "Approve this device?")
        assert device.user_code in person.text
        assert person.address == uri
        person.click("Approve", "Approved")
    assert identity(client, device.poll().json()["access_token"]).json()["email"] == "ann@x.org"
