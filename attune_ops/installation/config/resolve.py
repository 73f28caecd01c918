"""Finding the installation: option, variable, named environment, Attune's own configuration, running lab."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import msgspec

from attune_ops.installation.config import attune_files, running_lab
from attune_ops.installation.config import config_file as config_file
from attune_ops.installation.config.attune_files import AttuneConfig
from attune_ops.installation.config.config_file import ALL_FIELDS, ConfigFile
from attune_ops.installation.config.docs_url import docs_url_of
from attune_ops.installation.config.precedence import Layer, Setting, layered, other_broker, remarks
from attune_ops.installation.config.settings import RUNNING_LAB, CheckSettings, Database, Endpoint, Settings
from attune_ops.installation.config.tls import TLS, tls_of
from attune_ops.installation.config.urls import (
    management_of,
    parse_amqp,
    parse_database,
    parse_management,
    parse_prometheus,
    prometheus_of,
)
from attune_ops.model.errors import ConfigError, NoInstallation, TopologyError
from attune_ops.model.severity import Severity
from attune_ops.model.topologies import DEFAULT as DEFAULT_TOPOLOGY
from attune_ops.model.topologies import load
from attune_ops.model.topology import Topology
from attune_ops.model.units import listed

KEYS = (
    "env", "config", "attune_config", "amqp_url", "management_url", "database_url", "database_schema", "topology",
    "lab", *TLS,
)  # fmt: skip
PLACES = ("env", "attune_config", "amqp_url")  # each names an installation
URLS = ("amqp_url", "management_url", "database_url")  # a lab sets all of them

NAMING = ("--amqp-url", "--env", "--attune-config", "--lab")
NOTHING_FOUND = (
    "no installation given: use --amqp-url (ATTUNE_OPS_AMQP_URL), or --env (ATTUNE_OPS_ENV) with an "
    "attune-ops.toml, or --attune-config (ATTUNE_OPS_ATTUNE_CONFIG, ATTUNE_CONFIG, ./config.yaml), or --lab "
    "(ATTUNE_OPS_LAB), or set ATTUNE__MESSAGE_QUEUE__URL, or start a lab: attune-ops lab up"
)


def resolve(
    options: Mapping[str, str], environ: Mapping[str, str] | None = None, *, lab: bool | str = False
) -> Settings:
    """Finds the installation: for each value option, variable, named environment, Attune's own, lab, in that order.

    An environment that an option names comes before the variables.
    `options` holds the options of the command line, by the names in `KEYS`. With `lab` it is the lab of that name, or
    the default one; environments and variables that name another installation are then ignored, as with the option.
    Raises `ConfigError`. Reads files; connects to nothing.
    """
    environ = os.environ if environ is None else environ
    given = {key: Setting(value, f"--{key.replace('_', '-')}") for key, value in options.items() if value}
    if lab:
        given["lab"] = Setting("default" if lab is True else lab, RUNNING_LAB)
    named_lab = _named_lab(given, _variables(environ))
    elsewhere = {*PLACES, *URLS, "database_schema"} if named_lab else {"lab"}
    variables = _variables(environ)
    used = {key: said for key, said in variables.items() if key not in elsewhere}
    file, path = _file(used | given, environ)
    name = _env_name(used | given, file, named_lab is not None)
    environment = _environment(file, name, path, environ) if name and path else {}
    said, dropped = layered(given, used, environment)
    below = [environment]
    if named_lab:
        said.maps.append(_lab(named_lab))
    else:
        attune = _attune(said, environ, search="amqp_url" not in said and not name)
        below.append({key: Setting(*found) for key, found in attune.values.items()})
        said.maps.append(below[-1])
        if attune.files:
            said.maps.insert(0, {"attune_config": Setting(", ".join(map(str, attune.files)), attune.origin)})
        if "amqp_url" not in said:
            # The lab instead of the installation that the user named would hide the problems of that installation.
            said.maps.append(_refuse(name, attune) if name or attune.files else _lab() or _nothing_found(file, path))
    found = _settings(said, file, name)
    return msgspec.structs.replace(
        found,
        docs_url=docs_url_of(file, path, environ),
        left_out=_left_out(said["amqp_url"], dropped, found.management),
        notes=remarks(given, _others(variables, dropped), below, said),
    )


def check_settings(options: Mapping[str, str], environ: Mapping[str, str] | None = None) -> CheckSettings:
    """The settings of the checks for a file: topology, severities and thresholds; needs no installation.

    Raises `ConfigError`. Reads files; connects to nothing.
    """
    environ = os.environ if environ is None else environ
    variables = _variables(environ)
    given = {key: Setting(value, f"--{key.replace('_', '-')}") for key, value in options.items() if value}
    file, path = _file(variables | given, environ)
    name = _env_name(variables | given, file, lab=False)
    # A password that is not needed may not be there.
    environment = _environment(file, name, path, environ, ("topology",)) if name and path else {}
    said, _ = layered(given, variables, environment)
    topology = _topology(said["topology"]) if "topology" in said else None
    return CheckSettings(topology, _severities(file), file.thresholds, docs_url_of(file, path, environ))


def _left_out(amqp: Setting, dropped: Layer, management: Endpoint) -> str:
    """The line for settings of another broker, which are not used; "" where there are none."""
    line = other_broker(amqp, dropped)
    if "management_url" not in dropped:
        return line
    expected = f"{management.scheme}://{management.address}"
    return f"{line}. The management API is expected at {expected}; if it is elsewhere, give --management-url"


def _others(variables: Layer, dropped: Layer) -> Layer:
    return {key: said for key, said in variables.items() if dropped.get(key) is not said}


def _severities(file: ConfigFile) -> dict[str, Severity | None]:
    return {code: None if level == "off" else Severity(level) for code, level in file.severities.items()}


def _variables(environ: Mapping[str, str]) -> Layer:
    names = {key: f"ATTUNE_OPS_{key.upper()}" for key in (*KEYS, "prometheus_url")}
    return {key: Setting(environ[name], name) for key, name in names.items() if environ.get(name)}


def _file(explicit: Layer, environ: Mapping[str, str]) -> tuple[ConfigFile, Path | None]:
    path = config_file.find(explicit["config"].value if "config" in explicit else None, environ)
    if path is None and "env" in explicit:
        env = explicit["env"]
        raise ConfigError(
            f"{env.origin} {env.value}: no configuration file found: neither {config_file.FILE} in this folder nor "
            f"{config_file.user_file(environ)}; use --config (ATTUNE_OPS_CONFIG)"
        )
    return (ConfigFile(), None) if path is None else (config_file.read(path), path)


def _env_name(explicit: Layer, file: ConfigFile, lab: bool) -> str | None:
    if "env" in explicit:
        return str(explicit["env"].value)
    return None if lab else file.default_env


def _environment(
    file: ConfigFile, name: str, path: Path, environ: Mapping[str, str], fields: Sequence[str] = ALL_FIELDS
) -> Layer:
    env = config_file.environment(file, name, path, environ, fields)
    where = f"{path} [env.{name}]"
    said = {key: Setting(value, where) for key, value in msgspec.structs.asdict(env).items() if value is not None}
    for key, prefix in (("amqp_url", ""), ("management_url", "management_"), ("database_url", "database_")):
        password = config_file.password(env, prefix, where, environ)
        if password is not None and key in said:
            said[key] = Setting(said[key].value, where, password)
    return said


def _named_lab(given: Layer, variables: Layer) -> Setting | None:
    """The lab that an option names, or a variable where no option names an installation; else None.

    Raises `ConfigError` where another setting names an installation too.
    """
    for layer in (given, variables):
        other = next((layer[key] for key in PLACES if key in layer), None)
        if "lab" in layer and other is not None:
            raise ConfigError(f"{layer['lab'].origin} and {other.origin} each name an installation: use one of them")
        if "lab" in layer or other is not None:
            return layer.get("lab")
    return None


def _lab(named: Setting | None = None) -> Layer:
    """The settings of a running lab: the named one, else the default one, or none where that does not run."""
    name = "default" if named is None else str(named.value)
    lab = running_lab.read(name)
    if lab is None and named is None:
        return {}
    option = "" if name == "default" else f" --name {name}"
    if lab is None:
        raise ConfigError(f"no lab {name!r} is running: attune-ops lab up{option} starts it")
    said = {
        "amqp_url": lab.amqp_url,
        "management_url": lab.management_url,
        "prometheus_url": lab.prometheus_url,
        "database_url": lab.database_url,
        "env": "lab" if name == "default" else f"lab {name}",
        "drills": True,
        "lab": name,
    }
    return {key: Setting(value, RUNNING_LAB if named is None else named.origin) for key, value in said.items()}


def _nothing_found(file: ConfigFile, path: Path | None) -> Layer:
    """Raises the error with what there is to choose from, or else with every way to name an installation."""
    labs = [lab.name for lab in running_lab.running()]
    there = []
    if labs:
        one = f"lab {labs[0]} is running: --lab {labs[0]}"
        there.append(one if len(labs) == 1 else f"labs {listed(labs)} are running: --lab NAME")
    if file.env:
        several = f"environment{'s' if len(file.env) > 1 else ''} {listed(sorted(file.env))}"
        there.append(f"{path} has the {several}: --env NAME")
    if not there:
        raise NoInstallation(NOTHING_FOUND)
    raise NoInstallation(f"no installation given: {'; '.join(there)}; or name another: {', '.join(NAMING)}")


def _attune(said: Mapping[str, Setting], environ: Mapping[str, str], *, search: bool) -> AttuneConfig:
    """Attune's own configuration. ./config.yaml is only searched for where nothing else names an installation.

    The registry of a file that merely lies in the current folder could be that of another installation.
    """
    named = said.get("attune_config")
    return attune_files.read((str(named.value), named.origin) if named else None, environ, search=search)


def _refuse(name: str | None, attune: AttuneConfig) -> Layer:
    if not name:
        raise ConfigError(attune.lacking)
    raise ConfigError(
        f"environment {name!r} has no amqp_url, and neither --amqp-url, ATTUNE_OPS_AMQP_URL nor Attune's own "
        "configuration sets one"
    )


def _settings(said: Mapping[str, Setting], file: ConfigFile, name: str | None) -> Settings:
    amqp = _amqp(said["amqp_url"])
    said = {**_of_its_lab(amqp, said), **said}
    database = _database(said)
    env = said.get("env")
    management = _management(said.get("management_url"), amqp)
    return Settings(
        amqp=amqp,
        management=management,
        prometheus=_prometheus(said.get("prometheus_url"), management),
        database=database,
        topology=_topology(said.get("topology")),
        recognise="topology" not in said,
        env=name or (env.value if env else None),
        protected=_flag(said.get("protected")),
        drills=_flag(said.get("drills")),
        lab=_text(said.get("lab")),
        tls=tls_of(said),
        attune_config=_text(said.get("attune_config")),
        worker_name=_text(said.get("worker_name")),
        heartbeat_interval=_seconds(said.get("heartbeat_interval"), 30.0),
        stale_after=_seconds(said.get("stale_after"), 90.0),
        timeout=_seconds(said.get("timeout"), 10.0),
        severities=_severities(file),
        thresholds=file.thresholds,
        redact=file.redact,
        origin=_origins(said),
    )


def _of_its_lab(amqp: Endpoint, said: Mapping[str, Setting]) -> Layer:
    """Management API and Prometheus endpoint of the running lab at this AMQP port: a lab has no default ports."""
    found = None if "management_url" in said or amqp.tls else running_lab.node_at(amqp.host, amqp.port)
    if found is None:
        return {}
    lab, node = found
    origin = f"derived from the AMQP URL: a port of lab {lab.name!r}"
    return {
        "management_url": Setting(f"http://{amqp.host}:{node.management_port}", origin),
        "prometheus_url": Setting(f"http://{amqp.host}:{node.prometheus_port}/metrics", origin),
    }


def _amqp(said: Setting) -> Endpoint:
    return parse_amqp(str(said.value), said.origin, said.password)


def _management(said: Setting | None, amqp: Endpoint) -> Endpoint:
    return management_of(amqp) if said is None else parse_management(said.value, said.origin, amqp, said.password)


def _prometheus(said: Setting | None, management: Endpoint) -> Endpoint:
    return prometheus_of(management) if said is None else parse_prometheus(str(said.value), said.origin)


def _database(said: Mapping[str, Setting]) -> Database | None:
    """The registry's database, None where none is given: only a lab has a file of ours, and sets its URL."""
    found = said.get("database_url")
    if found is None:
        return None
    schema = _text(said.get("database_schema")) or "attune"
    return parse_database(str(found.value), found.origin, schema, found.password)


def _topology(said: Setting | None) -> Topology:
    try:
        return load(DEFAULT_TOPOLOGY if said is None else str(said.value))
    except TopologyError as e:
        where = "" if said is None or said.origin.startswith("--") else f"{said.origin}: "
        raise TopologyError(f"{where}{e}") from None


def _text(said: Setting | None) -> str | None:
    return None if said is None else str(said.value)


def _flag(said: Setting | None) -> bool:
    return said is not None and bool(said.value)


def _seconds(said: Setting | None, default: float) -> float:
    if said is None:
        return default
    try:
        seconds = float(said.value)
    except (TypeError, ValueError):
        seconds = math.nan
    if not 0 < seconds < math.inf:
        raise ConfigError(f"{said.origin}: found {said.value!r}; allowed is a number of seconds above 0")
    return seconds


def _origins(said: Mapping[str, Setting]) -> dict[str, str]:
    """The origin of each setting that has one."""
    keys = {
        "prometheus": "prometheus_url",
        "amqp": "amqp_url",
        "management": "management_url",
        "database": "database_url",
    }
    keys |= {key: key for key in (*Settings.__struct_fields__, "database_schema", *TLS) if key not in keys}
    found = {member: said[key].origin for member, key in keys.items() if key in said}
    derived = {"management": "derived from the AMQP URL", "prometheus": "derived from the management URL"}
    return derived | found
