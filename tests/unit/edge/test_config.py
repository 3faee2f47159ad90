"""The daemon's configuration: defaults, precedence, and refusals that name the key."""

from pathlib import Path

import pytest

from ferryd.config import Config, ConfigError, load


@pytest.fixture
def config_dir(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in ("CONFIG", "STATE", "RUNTIME"):
        monkeypatch.setenv(f"FERRYMAN_{name}_DIR", str(tmp_path))
    return tmp_path


def test_without_a_file_everything_has_its_default(config_dir: Path) -> None:
    config = load({})
    assert config == Config(socket_path=config_dir / "daemon.sock", state_dir=config_dir)
    assert config.embedded


def test_the_environment_wins_over_the_file(config_dir: Path) -> None:
    (config_dir / "config.toml").write_text('hub = "http://file:1"\nidle_timeout_s = 5\n')
    config = load({"FERRYMAN_HUB": "http://env:2/", "FERRYMAN_TOKEN": "fat_x"})
    assert (config.hub, config.idle_timeout_s, config.token) == ("http://env:2", 5, "fat_x")
    assert not config.embedded


def test_lines_of_the_log_and_where_metrics_are(config_dir: Path) -> None:
    (config_dir / "config.toml").write_text('log_format = "text"\nmetrics = "[::1]:9464"\n')
    config = load({"FERRYMAN_LOG_FORMAT": "json"})
    assert (config.log_format, config.metrics_address) == ("json", ("::1", 9464))
    with pytest.raises(ConfigError, match="log_format = 'xml'"):
        load({"FERRYMAN_LOG_FORMAT": "xml"})


def test_the_token_is_not_in_the_representation(config_dir: Path) -> None:
    assert "fat_secret" not in repr(load({"FERRYMAN_TOKEN": "fat_secret"}))


@pytest.mark.parametrize("blank", [" ", "\n", "\r\n"])
def test_blanks_round_the_token_are_dropped(config_dir: Path, blank: str) -> None:
    assert load({"FERRYMAN_TOKEN": f"{blank}fat_x{blank}"}).token == "fat_x"


@pytest.mark.parametrize("odd", [" ", "\n", "\0", "ä", "\u200b"])
def test_a_token_that_cannot_be_sent_is_refused_unshown(config_dir: Path, odd: str) -> None:
    with pytest.raises(ConfigError, match="FERRYMAN_TOKEN") as caught:
        load({"FERRYMAN_TOKEN": f"fat_{odd}secret"})
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("parts_in_flight = 0", "parts_in_flight"),
        ("running_transfers = true", "running_transfers"),
        ("bandwidth_bps = 3", "bandwidth_bps"),
        ('hub = "ftp://x"', "hub"),
        ("colour = 1", "colour"),
        ('log_format = "xml"', "log_format"),
        ('metrics = "9464"', "metrics"),
        ('metrics = "localhost:http"', "metrics"),
        ('metrics = "localhost:65536"', "metrics"),
        ("not toml", "config.toml"),
    ],
)
def test_a_bad_value_is_refused_by_name(config_dir: Path, text: str, named: str) -> None:
    (config_dir / "config.toml").write_text(text)
    with pytest.raises(ConfigError, match=named):
        load({})
