"""Colours of the page by the formula of WCAG 2: every text 7:1, every line and outline 3:1, in light and in dark."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ferryhub.web import pages

CSS = (Path(pages.__file__).with_name("templates") / "device.css").read_text()
TEXTS = [("text", "page"), ("act", "page"), ("on-act", "act"), ("bad", "page")]
SCHEMES = re.findall(r":root \{([^}]*)\}", CSS)


def _luminance(colour: str) -> float:
    parts = [int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)]
    red, green, blue = (part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def contrast(one: str, other: str) -> float:
    light, dark = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def test_the_formula() -> None:
    assert contrast("#000000", "#ffffff") == pytest.approx(21)
    assert contrast("#777777", "#ffffff") == pytest.approx(4.48, abs=0.01)


@pytest.mark.parametrize("scheme", SCHEMES, ids=["light", "dark"])
def test_contrast(scheme: str) -> None:
    colours = dict(re.findall(r"--([\w-]+): (#[0-9a-f]{6});", scheme))
    assert {one: contrast(colours[one], colours[other]) >= 7 for one, other in TEXTS} == dict.fromkeys(
        ["text", "act", "on-act", "bad"], True
    )
    assert contrast(colours["line"], colours["page"]) >= 3


def test_there_are_no_other_colours() -> None:
    rules = re.sub(r":root \{[^}]*\}|/\*.*?\*/", "", CSS)
    values = [
        value
        for names in re.findall(r"(?:color|background|border[\w-]*|outline): ([^;]*);", rules)
        for value in names.split()
    ]
    named = [
        value
        for value in values
        if not re.fullmatch(r"var\(--[\w-]+\)|inherit|transparent|solid|[\d.]+(px|rem)", value)
    ]
    assert named == []
    assert "#" not in rules
    # Whoever tabs sees where they are.
    assert "outline: 3px solid var(--act)" in CSS
    assert "outline: none" not in CSS
