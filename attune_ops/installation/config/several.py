"""Several environments of the configuration file at once: what each of them says, and nothing that is for one."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping
from pathlib import Path

from attune_ops.installation.config import attune_files, config_file
from attune_ops.installation.config.config_file import ConfigFile
from attune_ops.installation.config.resolve import PLACES, URLS, resolve
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import ConfigError

# Options and variables that name one installation, or a part of one.
OF_ONE = (*PLACES, *URLS, "database_schema", "lab")
VARIABLES = (*(f"ATTUNE_OPS_{key.upper()}" for key in (*OF_ONE, "prometheus_url")), attune_files.VARIABLE)


def several(
    envs: Collection[str] | None = None,
    options: Mapping[str, str] | None = None,
    environ: Mapping[str, str] | None = None,
) -> dict[str, Settings | ConfigError]:
    """The settings of each environment (None: of all in the file) by its name, or why it has none.

    Options and variables for one installation are left out. Raises `ConfigError` where there is no file, or where it
    has no such environment. Reads files; connects to nothing.
    """
    options, environ = options or {}, os.environ if environ is None else environ
    file, path = _file(options, environ)
    if envs is None and not file.env:
        raise ConfigError(f"{path}: it has no environments; attune-ops config init shows how to write one")
    unknown = [name for name in envs or () if name not in file.env]
    if unknown:
        known = ", ".join(sorted(file.env)) or "none"
        raise ConfigError(f"{path}: no environment {' and '.join(map(repr, unknown))}; it has {known}")
    ignored = set(ignored_variables(environ))
    left = {name: value for name, value in environ.items() if name not in ignored}
    common = {name: value for name, value in options.items() if name not in OF_ONE} | {"config": str(path)}
    return {name: _resolved(common | {"env": name}, left) for name in dict.fromkeys(envs or sorted(file.env))}


def ignored_variables(environ: Mapping[str, str]) -> tuple[str, ...]:
    """The variables that are set and left out: each is for one installation."""
    return tuple(sorted(n for n, v in environ.items() if v and (n in VARIABLES or n.upper().startswith("ATTUNE__"))))


def _file(options: Mapping[str, str], environ: Mapping[str, str]) -> tuple[ConfigFile, Path]:
    path = config_file.find(options.get("config") or environ.get("ATTUNE_OPS_CONFIG") or None, environ)
    if path is None:
        raise ConfigError(
            f"several environments need a configuration file: found neither {config_file.FILE} in this folder nor "
            f"{config_file.user_file(environ)}; use --config (ATTUNE_OPS_CONFIG)"
        )
    return config_file.read(path), path


def _resolved(options: Mapping[str, str], environ: Mapping[str, str]) -> Settings | ConfigError:
    try:
        return resolve(options, environ)
    except ConfigError as e:
        return e
