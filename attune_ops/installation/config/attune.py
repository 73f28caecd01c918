"""What an Attune installation says of itself: its own config.yaml, and `ATTUNE__…` variables over it.

Only URLs, the database schema and the worker's settings are taken. Queue and exchange names in the YAML
change nothing on the broker, so they are not taken for the topology.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from attune_ops.installation.config.config_file import read_text
from attune_ops.model.errors import ConfigError

# Our name for it, and its path in the YAML; as a variable it is ATTUNE__MESSAGE_QUEUE__URL.
MEMBERS = {
    "amqp_url": ("message_queue", "url"),
    "database_url": ("database", "url"),
    "database_schema": ("database", "schema"),
    "worker_name": ("worker", "name"),
    "heartbeat_interval": ("worker", "heartbeat_interval"),
}


def read(file: str | None, environ: Mapping[str, str]) -> dict[str, tuple[Any, str]]:
    """What is said, by our names, each with where it stands; raises `ConfigError` for a file that is wrong."""
    said = _from_file(Path(file).expanduser()) if file else {}
    variables = {name.upper(): (name, value) for name, value in environ.items() if value}
    for member, path in MEMBERS.items():
        found = variables.get("__".join(("ATTUNE", *path)).upper())
        if found:
            said[member] = (found[1], found[0])
    return said


def _from_file(path: Path) -> dict[str, tuple[Any, str]]:
    import yaml

    try:
        data = yaml.safe_load(read_text(path, "configuration of Attune"))
    except yaml.YAMLError as e:
        mark = getattr(e, "problem_mark", None)
        line = f", line {mark.line + 1}" if mark else ""
        raise ConfigError(f"{path}{line}: not YAML: {getattr(e, 'problem', None) or 'it cannot be read'}") from None
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
            raise ConfigError(f"{path}: {place}: found {type(data).__name__}; a table with {name} is allowed")
        data = data.get(name)
    if isinstance(data, dict | list):
        raise ConfigError(f"{path}: {'.'.join(names)}: found {type(data).__name__}; one value is allowed")
    return data
