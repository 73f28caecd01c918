"""The settings as a table, and the check of the configuration file as a table."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path

from attune_ops.doctor.diagnose import verify
from attune_ops.installation.config import config_file as config_file
from attune_ops.installation.config.config_file import ConfigFile
from attune_ops.installation.config.resolve import resolve
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import ConfigError, NoInstallation
from attune_ops.model.table import Cell, Column, Kind, Table

SHOWN = (Column("member"), Column("value"), Column("origin", doc="Where it was set."))
TARGET = "target of this command"
ENVIRONMENTS = (
    Column("name"),
    Column("default", Kind.FLAG, doc="default_env of the file"),
    Column("in_use", Kind.FLAG, doc="chosen by --env, ATTUNE_OPS_ENV or default_env"),
    Column("amqp", doc="the broker, or what is wrong"),
    Column("protected", Kind.FLAG, priority=2),
    Column("drills", Kind.FLAG, priority=2),
)
CHECKED = (Column("subject"), Column("ok", Kind.FLAG), Column("detail"))


def settings_table(settings: Settings) -> Table:
    """Every setting with its origin, passwords masked."""
    metrics = settings.prometheus
    shown: dict[str, Cell] = {
        "env": settings.env,
        "attune_config": settings.attune_config,
        "amqp": str(settings.amqp),
        "vhost": settings.vhost,
        "management": str(settings.management),
        "prometheus": None if metrics is None else f"{metrics.scheme}://{metrics.address}{metrics.path}",
        "database": settings.database.shown if settings.database else None,
        "database_schema": settings.database.schema if settings.database else None,
        "topology": settings.topology.name,
        "protected": settings.protected,
        "drills": settings.drills,
        "ca_file": settings.tls.ca_file,
        "cert_file": settings.tls.cert_file,
        "key_file": settings.tls.key_file,
        "tls_server_name": settings.tls.server_name,
        "tls_min_version": settings.tls.minimum,
        "worker_name": settings.own_worker,
        "heartbeat_interval": f"{settings.heartbeat_interval:g} s",
        "stale_after": f"{settings.stale_after:g} s",
        "timeout": f"{settings.timeout:g} s",
        "severities": ", ".join(f"{code} {level or 'off'}" for code, level in settings.severities.items()) or None,
        "thresholds": ", ".join(f"{name} {value:g}" for name, value in settings.thresholds.items()) or None,
        "redact": ", ".join(settings.redact) or None,
        "docs_url": settings.docs_url,
    }
    origins = {"vhost": settings.origin.get("amqp"), "worker_name": "default: worker-<hostname>"} | settings.origin
    if settings.attune_config and settings.database is None:
        origins["database"] = f"not in {settings.attune_config}: set ATTUNE__DATABASE__URL"
    rows = tuple((member, value, origins.get(member, "default")) for member, value in shown.items())
    return Table("config", SHOWN, rows, datetime.now(UTC), settings.notes)


def check_table(options: Mapping[str, str], environ: Mapping[str, str]) -> Table:
    """Checks the configuration file, each environment in it, and the target of this command; connects to nothing.

    A row that is not ok has the reason. Raises `ConfigError` only if there is nothing to check.
    """
    rows: list[tuple[Cell, ...]] = []
    named = options.get("config") or environ.get("ATTUNE_OPS_CONFIG")
    path = config_file.find(named, environ)
    if path is not None:
        rows += _file_rows(path, environ)
    try:
        rows.append(_row(TARGET, options, environ))
    except NoInstallation as e:
        if not rows:  # a file of environments is valid also if this command names none of them
            rows.append((TARGET, False, str(e)))
    return Table("config", CHECKED, tuple(rows), datetime.now(UTC))


def file_in_use(options: Mapping[str, str], environ: Mapping[str, str]) -> Path:
    """The configuration file in use; raises `ConfigError` where there is none."""
    path = config_file.find(options.get("config") or environ.get("ATTUNE_OPS_CONFIG"), environ)
    if path is None:
        raise ConfigError(
            f"no configuration file: neither {config_file.FILE} in this folder nor {config_file.user_file(environ)}; "
            "attune-ops config init --apply writes one"
        )
    return path


def environments_table(options: Mapping[str, str], environ: Mapping[str, str]) -> Table:
    """The environments of the configuration file, passwords masked; raises `ConfigError` where there is no file."""
    path = file_in_use(options, environ)
    file = config_file.read(path)
    chosen = options.get("env") or environ.get("ATTUNE_OPS_ENV") or file.default_env
    bare = {k: v for k, v in environ.items() if not k.startswith("ATTUNE_OPS_")}
    rows: list[tuple[Cell, ...]] = []
    for name, env in sorted(file.env.items()):
        try:
            target: Cell = str(resolve({"config": str(path), "env": name}, bare).amqp)
        except ConfigError as e:
            target = str(e)
        rows.append((name, name == file.default_env, name == chosen, target, env.protected, env.drills))
    return Table("environments", ENVIRONMENTS, tuple(rows), datetime.now(UTC), (f"file: {path}",))


def _file_rows(path: Path, environ: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    try:
        file = config_file.read(path)
    except ConfigError as e:
        return [(str(path), False, str(e))]
    rows: list[tuple[Cell, ...]] = [(str(path), True, f"environments: {', '.join(sorted(file.env)) or 'none'}")]
    try:
        verify(file.severities, file.thresholds)
    except ConfigError as e:
        rows.append(("severities and thresholds", False, str(e)))
    if file.default_env is not None and file.default_env not in file.env:
        rows.append(("default_env", False, f"no environment {file.default_env!r} in the file"))
    if _is_open(path) and _holds_password(file):
        rows.append(
            (
                str(path),
                False,
                f"it contains a password and is {_readable(path)}",
            )
        )
    rows += _open_password_files(file, path, environ)
    # Without options and variables: they would override every environment.
    bare = {k: v for k, v in environ.items() if not k.startswith("ATTUNE_OPS_")}
    rows += [_row(f"env {name}", {"config": str(path), "env": name}, bare) for name in sorted(file.env)]
    return rows


def _open_password_files(file: ConfigFile, path: Path, environ: Mapping[str, str]) -> list[tuple[Cell, ...]]:
    found: dict[Path, None] = {}
    for name in sorted(file.env):
        with suppress(ConfigError):  # the environment's own row has the error
            env = config_file.environment(file, name, path, environ)
            named = (env.password_file, env.management_password_file, env.database_password_file)
            found |= dict.fromkeys(Path(n) for n in named if n)
    return [
        (str(p), False, f"it is a password file and is {_readable(p)}") for p in found if p.exists() and _is_open(p)
    ]


def _row(subject: str, options: Mapping[str, str], environ: Mapping[str, str]) -> tuple[Cell, ...]:
    try:
        found = resolve(options, environ)
    except NoInstallation:
        raise
    except ConfigError as e:
        return (subject, False, str(e))
    detail = f"{found.amqp}, topology {found.topology.name}{', protected' if found.protected else ''}"
    if subject == TARGET:
        registry = f"{found.database.shown} from {found.origin['database']}" if found.database else "none"
        detail = f"{detail}, from {found.origin['amqp']}; registry: {registry}"
    return (subject, True, detail)


def _readable(path: Path) -> str:
    return f"readable by others; run: chmod 600 {shlex.quote(str(path))}"


def _is_open(path: Path) -> bool:
    return bool(path.stat().st_mode & (stat.S_IRGRP | stat.S_IROTH))


def _holds_password(file: ConfigFile) -> bool:
    """Whether a URL in the file contains its password."""
    urls = [u for e in file.env.values() for u in (e.amqp_url, e.management_url, e.database_url) if u]
    logins = [u.partition("://")[2].rpartition("@")[0].partition(":")[2] for u in urls]
    return any(password and "${" not in password for password in logins)
