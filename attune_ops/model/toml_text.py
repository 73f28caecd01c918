"""A topology as TOML text, in the form of the files in `topologies/`: an inline table a line."""

from __future__ import annotations

import json
import re
from typing import Any

from attune_ops.model.errors import TopologyError
from attune_ops.model.topology import Topology
from attune_ops.model.topology_file import to_dict


def to_toml(topology: Topology, comment: str = "") -> str:
    """The text of a topology file that reads back as this topology; `comment` stands at its head.

    Raises `TopologyError` for an argument that TOML cannot hold (a void one).
    """
    # A comment line ends at any line break and may hold no other control character.
    lines = [f"# {''.join(c if c.isprintable() else ' ' for c in line)}" for line in comment.splitlines()]
    for name, value in to_dict(topology).items():
        if not isinstance(value, list | tuple):
            lines.append(f"{name} = {_value(value)}")
            continue
        lines += ["", f"{name} = [", *(f"    {_value(item)}," for item in value), "]"]
    return "\n".join(lines) + "\n"


def _value(value: Any) -> str:
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, int | float):
        return repr(value)
    if isinstance(value, list | tuple):
        return f"[{', '.join(map(_value, value))}]"
    if isinstance(value, dict):
        pairs = (f"{_name(k)} = {_value(v)}" for k, v in value.items())
        return f"{{ {', '.join(pairs)} }}" if value else "{}"
    raise TopologyError("an argument without a value (void) cannot be written in TOML; export definitions instead")


def _name(text: str) -> str:
    return text if re.fullmatch(r"[A-Za-z0-9_-]+", text) else _text(text)


def _text(text: str) -> str:
    """A basic string: JSON escapes what TOML wants escaped, but for the delete character."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")
