"""What `pip install` gives somebody without a checkout: all files, and a daemon that works or says what it needs."""

from __future__ import annotations

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.architecture.sources import ROOT
from tests.support.home import Home

pytestmark = [pytest.mark.slow, pytest.mark.timeout(300)]

FOLDERS = ("proto/ferryapi", "proto/ferrywire", "daemon/ferryd", "sdk/ferryman", "hub/ferryhub")
USE = """
import pathlib, ferryman, ferryd, ferryhub, ferrywire
where = {pathlib.Path(module.__file__).parents[1].name for module in (ferryman, ferryd, ferryhub, ferrywire)}
assert where == {"site"}, where
pathlib.Path("a.txt").write_text("hello")
with ferryman.Client() as client:
    project = client.create_project("Packaged")
    asset = client.upload("a.txt", title="A", owner_type="project", owner_id=project.project_id)
    client.download(asset.asset_id, dest_dir="back")
    client.daemon.info()
print(pathlib.Path("back/a.txt").read_text())
"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of this checkout."""
    into = tmp_path_factory.mktemp("wheel")
    _pip("wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", into, ROOT)  # hatchling is here, not fetched
    return next(into.glob("ferryman-*.whl"))


@pytest.fixture(scope="module")
def site(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the wheel was installed, without what it depends on."""
    target = tmp_path_factory.mktemp("installed") / "site"
    _pip("install", "--no-deps", "--no-index", "--target", target, wheel)
    return target


def test_the_wheel_holds_every_file_of_the_packages(wheel: Path) -> None:
    """Whatever git knows in them: protos, migrations, SQL and py.typed with the code."""
    listed = subprocess.run(["git", "ls-files", *FOLDERS], cwd=ROOT, capture_output=True, text=True, check=True)
    expected = {path.split("/", 1)[1] for path in listed.stdout.splitlines() if (ROOT / path).exists()}
    kinds = {"content_service.proto", "py.typed", "queries.sql", "env.py"}
    assert kinds <= {Path(path).name for path in expected}
    with zipfile.ZipFile(wheel) as archive:
        held = set(archive.namelist())
    assert expected - held == set()
    assert {name.split("/")[0] for name in held if ".dist-info/" not in name} == {Path(path).name for path in FOLDERS}


def test_an_installed_wheel_works(site: Path, home: Home) -> None:
    """SDK, daemon and embedded hub, none of it from the checkout."""
    done = _python(USE, site, home)
    assert done.returncode == 0, done.stderr
    assert done.stdout == "hello\n"


@pytest.mark.parametrize(
    ("code", "missing", "extra"),
    [
        ("import ferryman; ferryman.Client().auth_status()", "uvloop", "daemon"),
        ("import sys, ferryhub.cli; sys.exit(ferryhub.cli.main(['token', 'list']))", "sqlalchemy", "hub"),
    ],
)
def test_the_sdk_alone_says_what_to_install(site: Path, home: Home, code: str, missing: str, extra: str) -> None:
    hidden = site.with_name(f"without-{missing}")
    hidden.mkdir(exist_ok=True)
    (hidden / f"{missing}.py").write_text(f"raise ModuleNotFoundError('no', name='{missing}')\n")
    home.extra_env["PYTHONPATH"] = str(hidden)
    done = _python(code, site, home)
    assert done.returncode == 1
    assert f'{missing} is not installed: run pip install "/path/to/ferryman[{extra}]"' in done.stderr.splitlines()[-1]


def _pip(*arguments: str | Path) -> None:
    done = subprocess.run([sys.executable, "-m", "pip", "-q", *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr


def _python(code: str, site: Path, home: Home) -> subprocess.CompletedProcess[str]:
    """Run code in a directory of its own, with the installed packages before the checkout's."""
    (site / "bin" / "ferryd").chmod(0o755)
    path = ":".join(filter(None, [home.extra_env.get("PYTHONPATH"), str(site)]))
    env = {**home.env, "PATH": f"{site / 'bin'}:{home.env['PATH']}", "PYTHONPATH": path}
    return subprocess.run(
        [sys.executable, "-c", code], cwd=home.data, env=env, capture_output=True, text=True, check=False, timeout=90
    )
