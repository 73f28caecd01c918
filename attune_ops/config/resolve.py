"""Finding the installation: option, variable, named environment, Attune's own configuration, running lab."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from attune_ops.config import attune, running_lab
from attune_ops.config import file as config_file
from attune_ops.config.settings import Database, Endpoint, Settings
from attune_ops.config.urls import management_of, parse_amqp, parse_database, parse_management
from attune_ops.errors import ConfigError
from attune_ops.findings import Severity
from attune_ops.secret import Secret
from attune_ops.topologies import DEFAULT as DEFAULT_TOPOLOGY
from attune_ops.topologies import load

KEYS = ("env", "config", "attune_config", "amqp_url", "management_url", "database_url", "topology")

NOTHING_FOUND = (
    "no installation is named: give --amqp-url (ATTUNE_OPS_AMQP_URL), or --env (ATTUNE_OPS_ENV) with an "
    "attune-ops.toml, or --attune-config (ATTUNE_OPS_ATTUNE_CONFIG), or set ATTUNE__MESSAGE_QUEUE__URL, "
    "or start a lab: attune-ops lab up"
)


class Said(msgspec.Struct, frozen=True):
    """A value, where it was said, and the password that was kept outside of it."""

    value: Any
    origin: str
    password: Secret | None = None


class Sought:
    """Everything that was said about one installation; `get` finds what comes first."""

    def __init__(self, options: Mapping[str, str], environ: Mapping[str, str]) -> None:
        self._explicit = {k: Said(v, f"--{k.replace('_', '-')}") for k, v in options.items() if v}
        for key in KEYS:
            variable = f"ATTUNE_OPS_{key.upper()}"
            if environ.get(variable):
                self._explicit.setdefault(key, Said(environ[variable], variable))
        self.file, self.env, self.env_name = config_file.ConfigFile(), config_file.Environment(), ""
        self._where = ""
        self._passwords: dict[str, Secret | None] = {}
        self._read_file(environ)
        attune_file = self._first("attune_config")
        said = attune.read(attune_file.value if attune_file else None, environ)
        self._attune = {k: Said(v, origin) for k, (v, origin) in said.items()}
        self.lab: dict[str, Said] = {}

    def _read_file(self, environ: Mapping[str, str]) -> None:
        named, env = self._explicit.get("config"), self._explicit.get("env")
        path = config_file.find(named.value if named else None)
        if path is None:
            if env:
                raise ConfigError(
                    f"{env.origin} names the environment {env.value!r}, but there is no {config_file.FILE} here nor "
                    f"{config_file.user_file()}; give --config (ATTUNE_OPS_CONFIG)"
                )
            return
        self.file = config_file.read(path)
        self.env_name = env.value if env else self.file.default_env or ""
        if self.env_name:
            self.env = config_file.environment(self.file, self.env_name, path, environ)
            self._where = f"{path} [env.{self.env_name}]"
            for key in ("amqp_url", "management_url", "database_url"):
                prefix = {"amqp_url": ""}.get(key, key.replace("url", ""))
                self._passwords[key] = config_file.password(self.env, prefix, self._where, environ)

    def _first(self, key: str) -> Said | None:
        if key in self._explicit:
            return self._explicit[key]
        value = getattr(self.env, key, None)
        return None if value is None else Said(value, self._where, self._passwords.get(key))

    def get(self, key: str) -> Said | None:
        """What was said first about `key`, or None."""
        return self._first(key) or self._attune.get(key) or self.lab.get(key)

    def use_lab(self) -> None:
        """Falls back on the running lab; raises `ConfigError` naming all ways where there is none."""
        lab = running_lab.read()
        if lab is None:
            raise ConfigError(NOTHING_FOUND)
        urls = {"amqp_url": lab.amqp_url, "management_url": lab.management_url, "database_url": lab.database_url}
        self.lab = {key: Said(url, "the running lab") for key, url in urls.items()}


def resolve(options: Mapping[str, str], environ: Mapping[str, str] | None = None, *, lab: bool = False) -> Settings:
    """Finds the installation: for each value option, variable, named environment, Attune's own, lab, in that order.

    `options` holds what the command line said, by the names in `KEYS`; with `lab` only the running lab and the
    options count. Raises `ConfigError` in one sentence. Reads files; connects to nothing.
    """
    sought = Sought(options, {} if lab else os.environ if environ is None else environ)
    amqp_url = sought.get("amqp_url")
    if amqp_url is None:
        if sought.env_name:
            # The lab would answer in the place of an installation that the user named: a false all-clear.
            raise ConfigError(f"{sought.env_name!r} names no amqp_url, and neither option, variable nor Attune does")
        sought.use_lab()
        amqp_url = sought.lab["amqp_url"]
    amqp = parse_amqp(amqp_url.value, amqp_url.origin, amqp_url.password)
    management_url = sought.get("management_url")
    topology = sought.get("topology")
    database, database_origin = _database(sought, amqp)
    return Settings(
        amqp=amqp,
        management=_management(management_url, amqp),
        database=database,
        topology=load(topology.value if topology else DEFAULT_TOPOLOGY),
        env=sought.env_name or ("lab" if sought.lab else None),
        protected=sought.env.protected,
        drills=sought.env.drills or bool(sought.lab),
        ca_file=sought.env.ca_file,
        worker_name=_text(sought.get("worker_name")),
        heartbeat_interval=_seconds(sought.get("heartbeat_interval"), 30.0),
        timeout=_seconds(sought.get("timeout"), 10.0),
        severities={c: None if s == "off" else Severity(s) for c, s in sought.file.severities.items()},
        thresholds=sought.file.thresholds,
        redact=sought.file.redact,
        origin=_origins(sought, database_origin),
    )


def _management(said: Said | None, amqp: Endpoint) -> Endpoint:
    return management_of(amqp) if said is None else parse_management(said.value, said.origin, amqp, said.password)


def _database(sought: Sought, amqp: Endpoint) -> tuple[Database, str]:
    """The registry's database: the one that was named, else a SQLite file of our own for this broker and vhost."""
    said, schema = sought.get("database_url"), _text(sought.get("database_schema")) or "attune"
    if said is not None:
        return parse_database(str(said.value), said.origin, schema, said.password), said.origin
    import platformdirs

    name = "-".join((quote(amqp.host, safe=""), str(amqp.port), quote(amqp.path, safe="")))
    path = Path(platformdirs.user_state_dir("attune-ops"), "registry", f"{name}.sqlite")
    return parse_database(f"sqlite:///{quote(str(path))}", "default"), "default"


def _text(said: Said | None) -> str | None:
    return None if said is None else str(said.value)


def _seconds(said: Said | None, default: float) -> float:
    if said is None:
        return default
    try:
        seconds = float(said.value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{said.origin}: found {said.value!r}; a number of seconds above 0 is allowed")
    return seconds


def _origins(sought: Sought, database: str) -> dict[str, str]:
    """Where each member of the settings was said."""
    keys = {"amqp": "amqp_url", "management": "management_url", "topology": "topology", "worker_name": "worker_name"}
    keys |= {name: name for name in ("heartbeat_interval", "timeout", "ca_file", "env")}
    found = {member: said.origin for member, key in keys.items() if (said := sought.get(key))}
    found.setdefault("management", "derived from the AMQP URL")
    return {"topology": "default"} | found | {"database": database}
