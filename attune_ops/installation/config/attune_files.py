"""Attune's own configuration: `config.yaml`, `config.<environment>.yaml` over it, `ATTUNE__…` variables over both."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

from attune_ops.installation.config.config_file import read_text
from attune_ops.model.errors import ConfigError

FILE = "config.yaml"  # Attune reads the one in its current folder
VARIABLE = "ATTUNE_CONFIG"  # names another file
WORKER_NAME = "ATTUNE_WORKER_NAME"  # what Attune's worker uses where worker.name is not set
ENVIRONMENT = "ATTUNE__ENVIRONMENT"

# Our name for it, and its path in the YAML; as a variable it is ATTUNE__MESSAGE_QUEUE__URL.
MEMBERS = {
    "amqp_url": ("message_queue", "url"),
    "database_url": ("database", "url"),
    "database_schema": ("database", "schema"),
    "worker_name": ("worker", "name"),
    "heartbeat_interval": ("worker", "heartbeat_interval"),
}


class AttuneConfig(NamedTuple):
    """Attune's settings by our names, each as (value, origin), and the files that were read."""

    values: dict[str, tuple[Any, str]]
    files: tuple[Path, ...] = ()
    origin: str = ""  # how the first file was found

    @property
    def lacking(self) -> str:
        """One sentence about files without the URL of the broker, which is then expected in a variable."""
        names = " and ".join(map(str, self.files))
        have = "has" if len(self.files) == 1 else "have"
        return f"{names} {have} no message_queue.url: set ATTUNE__MESSAGE_QUEUE__URL or use --amqp-url"


def read(named: tuple[str, str] | None, environ: Mapping[str, str], *, search: bool) -> AttuneConfig:
    """Reads Attune's settings from the file that is `named` (with its origin), and from the variables.

    Without a named file it is the one that `ATTUNE_CONFIG` names, else with `search` ./config.yaml if that is Attune's.
    Only URLs, the database schema and the worker's settings are read. Queue and exchange names in the YAML
    change nothing on the broker, so they are not taken as the topology. Raises `ConfigError` for an invalid file.
    """
    variables = {name.upper(): (value, name) for name, value in environ.items() if value}
    path, origin = named or (environ.get(VARIABLE), VARIABLE)
    if path:
        found = _of_files(Path(path).expanduser(), origin, variables)
    elif search and Path(FILE).is_file():
        found = _of_files(Path(FILE), "found in this folder", variables, only_attune=True)
    else:
        found = AttuneConfig({})
    values = {"worker_name": variables[WORKER_NAME]} if WORKER_NAME in variables else {}
    values |= found.values
    for member, names in MEMBERS.items():
        variable = "__".join(("ATTUNE", *names)).upper()
        if variable in variables:
            values[member] = variables[variable]
    return found._replace(values=values)


def _of_files(
    path: Path, origin: str, variables: Mapping[str, tuple[str, str]], *, only_attune: bool = False
) -> AttuneConfig:
    """The settings of a file and of the environment's file over it."""
    data = _load(path, origin)
    if only_attune and not (isinstance(data, dict) and {names[0] for names in MEMBERS.values()} & data.keys()):
        return AttuneConfig({})
    values, files = _members(data, path), [path]
    if ENVIRONMENT in variables:
        over = path.with_name(f"config.{variables[ENVIRONMENT][0]}.yaml")
        if over != path and over.is_file():
            values |= _members(_load(over, ENVIRONMENT), over)
            files.append(over)
    return AttuneConfig(values, tuple(files), origin)


def _load(path: Path, origin: str) -> Any:
    import yaml

    kind = f"configuration of Attune ({origin})"
    try:
        return yaml.safe_load(read_text(path, kind))
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(e, 'problem', None) or 'cannot read it'}") from None
    except (ValueError, RecursionError) as e:  # a date that does not exist; brackets in brackets
        raise ConfigError(f"{path}: not YAML: {' '.join(str(e).split())}") from None


def _members(data: Any, path: Path) -> dict[str, tuple[Any, str]]:
    said = {}
    for member, names in MEMBERS.items():
        value = _member(data, names, path)
        if value is not None:
            said[member] = (value, f"{path} {'.'.join(names)}")
    return said


def _member(data: Any, names: tuple[str, ...], path: Path) -> Any:
    for depth, name in enumerate(names):
        if data is None:
            return None
        if not isinstance(data, dict):
            place = ".".join(names[:depth]) or "the file"
            raise ConfigError(f"{path}: {place}: found {type(data).__name__}; allowed is a table with {name}")
        data = data.get(name)
    if isinstance(data, dict | list):
        raise ConfigError(f"{path}: {'.'.join(names)}: found {type(data).__name__}; allowed is one value")
    return data
