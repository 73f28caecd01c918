"""The configuration file `attune-ops.toml`: named environments, severities, thresholds, fields to redact."""

from __future__ import annotations

import os
import sys
import tomllib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal

import msgspec

from attune_ops.installation.config.urls import expand
from attune_ops.model.errors import ConfigError
from attune_ops.model.files import validation_message
from attune_ops.model.secret import Secret

FILE = "attune-ops.toml"


class Environment(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """`[env.NAME]`: one installation. A missing setting is taken from the next source.

    Values may contain `${VARIABLE}`. A password is in the URL, in a file (`…password_file`, its first line) or
    in an environment variable (`…password_env`); the management API uses that of the AMQP URL by default. A relative
    path starts at the configuration file's folder. `heartbeat_interval`, `stale_after` and `timeout`
    are in seconds.
    """

    amqp_url: str | None = None
    management_url: str | None = None
    database_url: str | None = None
    topology: str | None = None
    attune_config: str | None = None
    password_file: str | None = None
    password_env: str | None = None
    management_password_file: str | None = None
    management_password_env: str | None = None
    database_password_file: str | None = None
    database_password_env: str | None = None
    database_schema: str | None = None
    prometheus_url: str | None = None
    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    tls_server_name: str | None = None
    tls_min_version: Literal["1.2", "1.3"] | None = None
    worker_name: str | None = None
    heartbeat_interval: float | None = None
    stale_after: float | None = None
    timeout: float | None = None
    protected: bool = False
    drills: bool = False


class ConfigFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """The whole file; `default_env` is the environment used where none is named.

    `docs_url` is the address of the built documentation, to which findings and alerts link.
    """

    env: dict[str, Environment] = {}
    default_env: str | None = None
    severities: dict[str, Literal["error", "warning", "info", "off"]] = {}
    thresholds: dict[str, float] = {}
    redact: tuple[str, ...] = ()
    docs_url: str | None = None


ALL_FIELDS = Environment.__struct_fields__
TLS_FILES = ("ca_file", "cert_file", "key_file")
FILES = ("attune_config", "password_file", "management_password_file", "database_password_file", *TLS_FILES)


def find(named: str | None, environ: Mapping[str, str]) -> Path | None:
    """The configuration file: the named one, else attune-ops.toml here, else the user's, else None."""
    if named is not None:
        return Path(named).expanduser()
    return next((path for path in (Path(FILE), user_file(environ)) if path.exists()), None)


def user_file(environ: Mapping[str, str]) -> Path:
    """The path of the user's configuration file, which need not exist."""
    if sys.platform != "linux":
        import platformdirs

        return platformdirs.user_config_path("attune-ops") / FILE
    # As in platformdirs, but without loading it, which takes a health probe 8 ms.
    folder = environ.get("XDG_CONFIG_HOME", "").strip() or "~/.config"
    return Path(folder, "attune-ops", FILE).expanduser()


def read(path: Path) -> ConfigFile:
    """Reads a configuration file; raises `ConfigError` naming file, field, what was found and what is allowed."""
    text = read_text(path, "configuration file")
    try:
        data = tomllib.loads(text)
    except (tomllib.TOMLDecodeError, RecursionError) as e:
        raise ConfigError(f"{path}: not TOML: {' '.join(str(e).split())}") from None
    try:
        return msgspec.convert(data, ConfigFile, strict=True)
    except msgspec.ValidationError as e:
        raise ConfigError(f"{path}: {validation_message(e, data, ConfigFile)}") from None


def read_text(path: Path, kind: str) -> str:
    """The text of a small UTF-8 file; raises `ConfigError` with the `kind` of file and the reason."""
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as e:
        raise ConfigError(f"{path}: byte {e.start} of this {kind} is not UTF-8") from None
    except (OSError, ValueError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise ConfigError(f"{str(path)!r}: cannot read the {kind}: {reason}") from None


def environment(
    config: ConfigFile, name: str, path: Path, environ: Mapping[str, str], fields: Sequence[str] = ALL_FIELDS
) -> Environment:
    """The named environment with its variables replaced and its files made absolute; raises `ConfigError`.

    Only the `fields` are read: the variables of others may not be set.
    """
    if name not in config.env:
        known = ", ".join(sorted(config.env)) or "none"
        raise ConfigError(f"{path}: no environment {name!r}; it has {known}")
    where = f"{path}: env.{name}"
    said: dict[str, object] = {}
    for field in fields:
        value = getattr(config.env[name], field)
        if isinstance(value, str):
            value = expand(value, lambda v, f=field: _variable(environ, v, f"{where}.{f}"))  # type: ignore[misc]
            value = _beside(path, field, value)
        said[field] = value
    return msgspec.convert(said, Environment)


def password(env: Environment, prefix: str, where: str, environ: Mapping[str, str]) -> Secret | None:
    """The password outside a URL (`prefix` is '', 'management_' or 'database_'), or None; raises `ConfigError`."""
    file, variable = (getattr(env, f"{prefix}password_{kind}") for kind in ("file", "env"))
    if file and variable:
        raise ConfigError(f"{where}: both {prefix}password_file and {prefix}password_env are set; keep one")
    if file:
        text = read_text(Path(file), "password file")
        return Secret(text.splitlines()[0] if text else "")
    return Secret(_variable(environ, variable, f"{where}.{prefix}password_env")) if variable else None


def _variable(environ: Mapping[str, str], name: str, where: str) -> str:
    if name not in environ:
        raise ConfigError(f"{where}: the environment variable {name} is not set")
    return environ[name]


def _beside(path: Path, field: str, value: str) -> str:
    """The value with a relative path made absolute, from the configuration file's folder."""
    if field == "database_url" and value.startswith("sqlite:///"):
        return f"sqlite:///{path.parent.absolute() / value.removeprefix('sqlite:///')}"
    if field in FILES or (field == "topology" and ("/" in value or value.endswith(".toml"))):
        return str(path.parent / Path(value).expanduser())
    return value


def example() -> str:
    """The text of a commented configuration file."""
    return Path(__file__).with_name("example.toml").read_text(encoding="utf-8")


def write_example(path: Path) -> None:
    """Writes the commented file, mode 600; raises `ConfigError` where the path exists. Undo: delete it."""
    try:
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(example())
    except FileExistsError:
        raise ConfigError(f"{str(path)!r} exists and is not changed; use another file") from None
    except (OSError, ValueError) as e:
        raise ConfigError(f"cannot write {str(path)!r}: {getattr(e, 'strerror', None) or e}") from None
