"""The daemon's configuration: one frozen object, read once from the environment and config.toml.

The only reader of either. Only `app` and `cli` import it; every other module gets plain values.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ferrywire import paths

#: FERRYMAN_HUB and `hub =` for the hub inside the daemon.
EMBEDDED = "embedded"


class ConfigError(Exception):
    """config.toml or the environment says something that cannot be; the message names it."""


@dataclass(frozen=True, slots=True)
class Config:
    """Everything that can be set. The comment names the variable or key that sets it."""

    #: FERRYMAN_SOCKET, else daemon.sock in the runtime directory. Locks lie beside it.
    socket_path: Path
    #: FERRYMAN_STATE_DIR and its XDG defaults. Queue, identity and embedded hub.
    state_dir: Path
    #: FERRYMAN_HUB or `hub`: http://host:port, https://…, unix:/path, or "embedded" (default).
    hub: str = EMBEDDED
    #: FERRYMAN_TOKEN, for a hub that is not embedded. Never stored, never shown.
    token: str = field(default="", repr=False)
    #: `idle_timeout_s`: exit after this long without work or calls. 0 never. Default 600. Off under a service manager.
    idle_timeout_s: float = 600.0
    #: `running_transfers`: transfers that run at once, until set at run time. 1 to 64. Default 4.
    running_transfers: int = 4
    #: `parts_in_flight`: parts that move at once, until set at run time. 1 to 64. Default 8.
    parts_in_flight: int = 8
    #: `bandwidth_bps`: bytes per second, both ways together, until set at run time. Default 0, unlimited.
    bandwidth_bps: int = 0
    #: `session_ttl_s`: how long the embedded hub keeps an upload nobody continues. Default 7 days.
    session_ttl_s: float = 7 * 86_400.0
    #: `token_store`: where sign-ins are kept, "file" (private, in the state directory) or "keyring". Default file.
    token_store: str = "file"
    #: `log_level`: debug, info, warning or error. Default info.
    log_level: str = "info"
    #: FERRYMAN_LOG_FORMAT or `log_format`: text, or json for one object a line. Default text.
    log_format: str = "text"
    #: `metrics`: HOST:PORT at which Prometheus may fetch metrics; port 0 is any. Default "", nowhere.
    metrics: str = ""

    @property
    def metrics_address(self) -> tuple[str, int]:
        """Host and port of `metrics`."""
        host, _, port = self.metrics.rpartition(":")
        return host.strip("[]"), int(port)

    @property
    def embedded(self) -> bool:
        """Whether the hub runs inside this daemon."""
        return self.hub == EMBEDDED


#: What config.toml may hold, what each value must satisfy, and that in words.
CHECKS: dict[str, tuple[type | tuple[type, ...], Callable[[Any], bool], str]] = {
    "hub": (str, lambda v: _is_hub(v), "http://host:port, https://host, unix:/path or embedded"),
    "idle_timeout_s": ((int, float), lambda v: v >= 0, "a number of seconds, 0 for never"),
    "running_transfers": (int, lambda v: 1 <= v <= 64, "a whole number from 1 to 64"),
    "parts_in_flight": (int, lambda v: 1 <= v <= 64, "a whole number from 1 to 64"),
    "bandwidth_bps": (int, lambda v: v == 0 or v >= 1024, "bytes per second, at least 1024, or 0 for unlimited"),
    "session_ttl_s": ((int, float), lambda v: v > 0, "a number of seconds"),
    "token_store": (str, lambda v: v in ("file", "keyring"), "file or keyring"),
    "log_level": (str, lambda v: v in ("debug", "info", "warning", "error"), "debug, info, warning or error"),
    "log_format": (str, lambda v: v in ("text", "json"), "text or json"),
    "metrics": (str, lambda v: v == "" or _is_address(v), "host:port, such as 127.0.0.1:9464, or empty"),
}


def load(environ: Mapping[str, str] = os.environ) -> Config:
    """Read the environment and config.toml; the environment wins. Raises `ConfigError`."""
    values = _read_file(paths.config_dir() / "config.toml")
    for key in ("hub", "log_format"):
        if given := environ.get(f"FERRYMAN_{key.upper()}"):
            values[key] = given
    for key, value in values.items():
        _check(key, value)
    hub = values.pop("hub", EMBEDDED)
    return Config(
        socket_path=paths.socket_path().absolute(),
        state_dir=paths.state_dir().absolute(),
        hub=hub if hub == EMBEDDED else hub.rstrip("/"),
        token=_token(environ.get("FERRYMAN_TOKEN", "")),
        **values,
    )


def _read_file(path: Path) -> dict[str, Any]:
    try:
        text = path.read_text()
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read {path}: {error}") from error
    import tomllib  # most people have no such file

    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"cannot read {path}: {error}") from error


def _check(key: str, value: object) -> None:
    if key not in CHECKS:
        raise ConfigError(f"config.toml: unknown key {key!r}; known are {', '.join(sorted(CHECKS))}")
    kind, valid, wanted = CHECKS[key]
    is_bool_by_mistake = isinstance(value, bool) and kind is not bool
    if is_bool_by_mistake or not isinstance(value, kind) or not valid(value):
        raise ConfigError(f"{key} = {value!r}: must be {wanted}")


def _token(value: str) -> str:
    """The token without the blanks that copying adds. Anything else odd would come back in an error about a header."""
    token = value.strip()
    if not (token.isascii() and token.isprintable()) or " " in token:
        raise ConfigError("FERRYMAN_TOKEN holds a character that no token has; copy the token again")
    return token


def _is_hub(value: str) -> bool:
    return value == EMBEDDED or value.startswith(("http://", "https://", "unix:/"))


def _is_address(value: str) -> bool:
    host, _, port = value.rpartition(":")
    return bool(host) and port.isascii() and port.isdecimal() and int(port) < 1 << 16
