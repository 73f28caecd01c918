"""JSON Schemas: of the files that people write and of what commands print as JSON, from the types of the program.

A view says with `JSON` what its `as_json` returns, so a new output needs no edit here.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

import msgspec

from attune_ops.installation.config import schemas
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind

if TYPE_CHECKING:
    from types import ModuleType

FAMILY = "attune-ops/"
BESIDE_VIEWS = ("attune_ops.monitoring.live_reading",)  # prints JSON without a value of its own
KINDS: dict[Kind, dict[str, Any]] = {
    Kind.TEXT: {"type": ["string", "null"]},
    Kind.CATEGORY: {"type": ["string", "null"]},
    Kind.INTEGER: {"type": ["integer", "null"]},
    Kind.NUMBER: {"type": ["number", "null"]},
    Kind.FLAG: {"type": ["boolean", "null"]},
    Kind.TIME: {"type": ["string", "null"], "format": "date-time"},
    Kind.AGE: {"type": ["number", "null"]},
    Kind.LIST: {"type": ["array", "null"], "items": {"type": "string"}},
}


def names() -> tuple[str, ...]:
    """What there is a schema of: files, outputs by their `schema` member, tables by the command that prints them."""
    outputs = (name.removeprefix(FAMILY).partition("/")[0] for name in _outputs())
    return tuple(sorted({*schemas.TYPES, *outputs, *_tables()}))


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a file, an output or a table; `name` may be a whole `schema` member.

    Raises `ConfigError` naming those there are.
    """
    if name in schemas.TYPES:
        return schemas.schema(name)
    found = _outputs().get(name if "/" in name else f"{FAMILY}{name}/1")
    if found is not None:
        return found
    if name in _tables():
        return _table(name, _tables()[name])
    raise ConfigError(f"no JSON Schema {name!r}; there are {', '.join(names())}")


@cache
def _outputs() -> dict[str, dict[str, Any]]:
    """The schemas of the outputs, by their `schema` member."""
    found = {}
    for module in _views():
        kinds = module.JSON if isinstance(module.JSON, tuple) else (module.JSON,)
        roots, defined = msgspec.json.schema_components(kinds, ref_template="#/$defs/{name}")
        name = _with_member([defined[root["$ref"].rpartition("/")[2]] for root in roots], module)
        root = roots[0] if len(roots) == 1 else {"anyOf": list(roots)}
        found[name] = {"$schema": schemas.DIALECT, "title": name, **root, "$defs": defined}
    return found


def _views() -> Iterator[ModuleType]:
    """The modules that say what they print as JSON."""
    package = importlib.import_module("attune_ops")
    for info in pkgutil.walk_packages(package.__path__, "attune_ops."):
        if info.name.rpartition(".")[2].startswith("view_") or info.name in BESIDE_VIEWS:
            module = importlib.import_module(info.name)
            if hasattr(module, "JSON"):
                yield module


def _with_member(roots: list[dict[str, Any]], module: ModuleType) -> str:
    """The value of the `schema` member, which is added to the schema of a type that does not have it itself."""
    for root in roots:
        if "schema" not in root["properties"]:
            root["properties"] = {"schema": {"enum": [module.SCHEMA]}, **root["properties"]}
            root["required"] = ["schema", *root.get("required", ())]
    name: str = roots[0]["properties"]["schema"]["enum"][0]
    return name


@cache
def _tables() -> dict[str, tuple[Column, ...]]:
    """The columns of the tables of the inspections, by the first word of their command."""
    from attune_ops import inventory

    modules = [
        importlib.import_module(f"attune_ops.inventory.{m.name}") for m in pkgutil.iter_modules(inventory.__path__)
    ]
    return {m.__name__.rpartition(".")[2]: m.COLUMNS for m in modules if hasattr(m, "COLUMNS")}


def _table(name: str, columns: tuple[Column, ...]) -> dict[str, Any]:
    """The schema of a table with these columns; none of them is required, because `--columns` chooses."""
    made = msgspec.json.decode(msgspec.json.encode(schema("table")))
    body = made["$defs"][made["$ref"].rpartition("/")[2]]
    members = {
        c.json_name: KINDS[c.kind] | {"description": c.doc + (f" ({c.unit})" if c.unit else "")} for c in columns
    }
    body["properties"] |= {
        "name": {"const": name},
        "columns": {"type": "array", "items": {"enum": list(members)}},
        "rows": {"type": "array", "items": {"type": "object", "properties": members, "additionalProperties": False}},
    }
    return {**made, "title": f"attune-ops {name}"}
