"""JSON Schemas of the files that people write, from the types that read them."""

from __future__ import annotations

from typing import Any

import msgspec

from attune_ops.installation.config.config_file import ConfigFile
from attune_ops.model.topology import Topology

TYPES = {"configuration": ConfigFile, "topology": Topology}
DIALECT = "https://json-schema.org/draft/2020-12/schema"


def schema(name: str) -> dict[str, Any]:
    """The JSON Schema of a kind of file, one of `TYPES`."""
    found = msgspec.json.schema(TYPES[name])
    return {"$schema": DIALECT, "title": f"attune-ops {name}", **found}
