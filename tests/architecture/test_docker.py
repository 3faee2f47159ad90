"""The image and the compose file run what there is: no Docker is needed to see that."""

from __future__ import annotations

import json
import re
import tomllib
from typing import Any

from ferryhub import cli, config
from tests.architecture.sources import ROOT

DOCKERFILE = (ROOT / "hub" / "docker" / "Dockerfile").read_text()
COMPOSE = (ROOT / "hub" / "docker" / "compose.yaml").read_text()


def _words(pattern: str, text: str) -> Any:
    [found] = re.findall(pattern, text, re.MULTILINE)
    return json.loads(found)


def test_both_start_a_hub_for_others() -> None:
    assert _words(r"^ENTRYPOINT (.*)$", DOCKERFILE) == ["ferryhub"]
    for words in (_words(r"^CMD (.*)$", DOCKERFILE), _words(r"^    command: (.*)$", COMPOSE)):
        args = cli._parser().parse_args(words)
        assert (args.listen, args.drain_delay > 0) == ("0.0.0.0:8720", True)


def test_the_image_has_what_exists_and_no_root() -> None:
    [extras] = re.findall(r"ferryman-\*\.whl\)\[([\w,]+)\]", DOCKERFILE)
    known = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(extras.split(",")) <= known.keys()
    assert re.search(r"^USER ferryhub$", DOCKERFILE, re.MULTILINE)
    probe = _words(r"^    CMD (.*)$", DOCKERFILE)
    compile(probe[2], "health check", "exec")


def test_compose_names_the_database_as_the_hub_does() -> None:
    assert f"{config.DATABASE_VARIABLE}:" in COMPOSE
    asked = set(re.findall(r"\$\{(\w+)", COMPOSE))
    page = (ROOT / "docs" / "howto" / "deploy.md").read_text()
    assert all(f"\n{each}=" in page for each in asked)
