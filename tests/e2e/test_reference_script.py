"""The reference system's quick start, with import, class and binary renamed, runs where nothing was started.

Its people should feel at home: the same calls, arguments, attributes. The script is held against the page where that is
at hand.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from ferryman import Client
from tests.support.home import Home

PAGE = Path(__file__).parents[3] / "shared/reference/systems/003.txt"
SOURCE = Path("/path/to/data.csv")
DESTINATION = Path("/tmp/downloads")
SCRIPT = """
from ferryman import Client

with Client(binary_path="/usr/local/bin/ferryd") as client:
    # Check auth
    status = client.auth_status()
    print(f"Logged in as {status.user_email}, token expires {status.expires_at}")

    # Create a project to own your data (also provisions its root collection)
    project = client.create_project("My dataset project", description="Demo")
    print(f"Created project {project.project_id}")

    # Upload a file into it
    result = client.upload(
        "/path/to/data.csv",
        title="My dataset",
        owner_type="project",
        owner_id=project.project_id,
        on_progress=lambda p: print(f"  {p.percent:.0f}%  {p.rate_mbps:.1f} MB/s"),
    )
    print(f"Uploaded  asset_id={result.asset_id}  content_id={result.content_id}")

    # Download it back
    dl = client.download(result.asset_id, dest_dir="/tmp/downloads")
    for f in dl.files:
        print(f"  {f.local_path}  ({f.size:,} bytes)")

    # Read / update metadata
    meta = client.get_metadata(result.asset_id)
    updated = client.set_metadata(result.asset_id, title="My dataset v2", tags=["csv", "demo"])

    # Link a derived result to the source asset that produced it
    relationship = client.create_relationship(
        result.asset_id,
        "source-asset-id",
        relationship_type="derived_from",
        analysis_mode="non_destructive",
        qualifiers={"tool": "pycroscopy"},
    )
    related_id = relationship.related_asset["id"] if relationship.related_asset else "source-asset-id"
    print(f"Linked via {relationship.type} to {related_id}")
"""


@pytest.fixture
def places(home: Home, table: Path) -> Iterator[tuple[str, Path]]:
    """The script and where it downloads to. Root can put the page's own path there; others get one of their own."""
    script = SCRIPT.replace("/usr/local/bin/ferryd", str(Path(sys.executable).with_name("ferryd")))
    destination = home.root / "downloads"
    script = script.replace(str(DESTINATION), str(destination))
    if not _is_ours(SOURCE.parent.parent):
        yield script.replace(str(SOURCE), str(table)), destination
        return
    SOURCE.parent.mkdir()
    shutil.copy(table, SOURCE)
    yield script, destination
    shutil.rmtree(SOURCE.parent.parent)


def _is_ours(place: Path) -> bool:
    """Whether we could make it, and nobody else has: another worker has this test in another configuration."""
    try:
        place.mkdir()
    except OSError:
        return False
    return True


@pytest.mark.usefixtures("configuration")
def test_the_script_runs_where_nothing_was_started(home: Home, table: Path, places: tuple[str, Path]) -> None:
    with Client() as client:  # somebody's earlier work: the asset that the script links to
        project = client.create_project("Earlier")
        client.upload(table, title="Raw", owner_type="project", owner_id=project.project_id, alias="source-asset-id")
    home.stop_daemons()
    assert not home.daemons()

    script, destination = places
    done = subprocess.run([sys.executable, "-c", script], env=home.env, capture_output=True, text=True, timeout=100)

    assert done.returncode == 0, done.stderr
    assert "100%" in done.stdout
    assert "Linked via derived_from to ast_" in done.stdout
    assert (destination / "data.csv").read_bytes() == table.read_bytes()


@pytest.mark.skipif(not PAGE.exists(), reason="the reference page is not beside this checkout")
def test_the_script_is_the_pages_with_three_names_changed() -> None:
    text = PAGE.read_text()
    page = text[text.index("from dataerai import") : text.index("API reference\n")]
    renamed = re.sub(r"\bDataeraiClient\b", "Client", page).replace("from dataerai ", "from ferryman ")
    renamed = renamed.replace("/dataerai", "/ferryd")
    assert renamed.split() == SCRIPT.split()
