"""S02 and S07 with several people, and a project that they share: a daemon, a home and a token for each."""

from __future__ import annotations

from pathlib import Path

import pytest

from ferryman import DaemonError
from tests.e2e.conftest import Person
from tests.support.cli import Done, ferry
from tests.support.cli_schema import all_wrong
from tests.support.configurations import FLEET, HUB, Configuration, only
from tests.support.files import MIB, make_file, same_bytes
from tests.support.home import Home

pytestmark = [pytest.mark.slow, only(HUB, FLEET, because="an embedded hub has one person")]


def code_of(error: pytest.ExceptionInfo[DaemonError]) -> tuple[str, str]:
    return error.value.code, error.value.reason


def test_s02_a_read_only_token_leaves_nothing_behind(person: Person) -> None:
    reader = person("reader@x.org", "read")
    with pytest.raises(DaemonError) as caught:
        reader.create_project("P")
    assert code_of(caught) == ("permission_denied", "SCOPE_DENIED")
    assert list(reader.projects.list()) == []
    assert reader.auth_status().user_email == "reader@x.org"


def test_s07_a_link_needs_write_on_its_source_and_read_on_its_target(person: Person, table: Path) -> None:
    a, b = person("a@x.org"), person("b@x.org")
    theirs = a.create_project("Raw").project_id
    raw = a.upload(table, title="Raw", owner_type="project", owner_id=theirs).asset_id
    mine = b.create_project("Own").project_id
    own = b.upload(table, title="Own", owner_type="project", owner_id=mine).asset_id

    with pytest.raises(DaemonError) as caught:  # nobody gave B anything
        b.create_relationship(own, raw, "derived_from")
    assert code_of(caught) == ("not_found", "ASSET_NOT_FOUND")

    a.grants.set(raw, "b@x.org", "viewer")
    assert b.create_relationship(own, raw, "derived_from").to_asset_id == raw
    with pytest.raises(DaemonError) as caught:
        b.create_relationship(raw, own, "derived_from")
    assert code_of(caught) == ("permission_denied", "PERMISSION_DENIED")
    [link] = a.relationships.list(raw, direction="in")
    assert link.related_asset is None  # A may not see B's asset


def test_what_one_uploads_the_other_lists_and_downloads_at_once(person: Person, home: Home) -> None:
    path, newer = make_file(home.data / "run", 12 * MIB + 1), make_file(home.data / "newer", 6 * MIB, seed=1)
    ann, ben = person("ann@x.org"), person("ben@x.org")
    project = ann.create_project("Shared").project_id
    assert list(ben.projects.list()) == []
    ann.grants.set(project, "ben@x.org", "editor")
    assert [shared.project_id for shared in ben.projects.list()] == [project]

    first = ann.upload(path, title="a", owner_type="project", owner_id=project).asset_id
    assert [asset.title for asset in ben.assets.list(project=project)] == ["a"]
    assert same_bytes(path, Path(ben.download(first, home.root / "ben").files[0].local_path))

    second = ben.upload(path, title="b", owner_type="project", owner_id=project).asset_id
    ben.update_content(first, newer)
    ben.create_relationship(second, first, "derived_from")
    assert {asset.title for asset in ann.assets.list(project=project)} == {"a", "b"}
    assert [content.version for content in ann.contents.list(first)] == [2, 1]
    assert [link.from_asset_id for link in ann.relationships.list(first, direction="in")] == [second]
    for asset_id, source in ((second, path), (first, newer)):
        assert same_bytes(source, Path(ann.download(asset_id, home.root / asset_id).files[0].local_path))


def test_a_project_is_shared_with_the_command(configuration: Configuration) -> None:
    """`ferry project share`, `members` and `unshare`: an owner, and somebody with a home of their own."""
    service = configuration.service
    assert service is not None
    owner, guest = (_home(configuration, name, service.hubs.token(f"{name}@x.org")) for name in ("o", "g"))
    try:
        project_id = ferry("project", "create", "P", "--json", env=owner).data("project")["project_id"]
        hidden = ferry("project", "get", project_id, env=guest)
        assert (hidden.code, "ferry project share" in hidden.err) == (4, True)

        given = ferry("project", "share", "P", "g@x.org", env=owner)
        assert (given.code, given.out) == (0, "g@x.org  viewer\n")
        assert ferry("project", "get", project_id, env=guest).code == 0
        refused = ferry("project", "share", "P", "g@x.org", "--role", "owner", env=guest)
        assert (refused.code, "ferry project share PROJECT PERSON" in refused.err) == (10, True)
        assert ferry("project", "share", "P", "g@x.org", "--role", "editor", env=owner).code == 0
        assert ferry("collection", "create", project_id, "by-guest", env=guest).code == 0
        said = ferry("project", "members", "P", "--json", env=guest)
        assert {(one["data"]["email"], one["data"]["role"]) for one in said.events} == {
            ("o@x.org", "owner"),
            ("g@x.org", "editor"),
        }
        for email, code in (("g@x.org", 0), ("nobody@x.org", 4), ("o@x.org", 10)):  # the last owner stays
            taken: Done = ferry("project", "unshare", "P", email, "--json", env=owner)
            assert (taken.code, all_wrong(taken.events)) == (code, [])
        assert ferry("project", "get", project_id, env=guest).code == 4
        assert ferry("project", "share", "P", "g@x.org", "--role", "king", env=owner).code == 2
    finally:
        for env in (owner, guest):
            assert ferry("daemon", "stop", env=env).code == 0


def _home(configuration: Configuration, name: str, token: str) -> dict[str, str]:
    """The environment of somebody with a home and a token of their own."""
    directories = {}
    for kind in ("STATE", "RUNTIME", "CONFIG"):
        directories[f"FERRYMAN_{kind}_DIR"] = str(configuration.home.root / f"{name}-{kind.lower()}")
        Path(directories[f"FERRYMAN_{kind}_DIR"]).mkdir(mode=0o700)
    return {**configuration.home.env, **directories, "FERRYMAN_TOKEN": token}
