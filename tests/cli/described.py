"""JSON output against the schema that `config schema` prints for it."""

from __future__ import annotations

import copy
from functools import cache
from typing import TYPE_CHECKING, Any

from attune_ops.cli import _schemas
from attune_ops.cli._inspect import Inspection
from tests.cli.commands import ALL

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator


def described(made: dict[str, Any], command: str = "") -> None:
    """Fails where the output is not as its schema says, or has a member that its schema does not name.

    An inspection command has a schema of its own as well.
    """
    _check(made["schema"], made)
    if isinstance(ALL.get(command), Inspection) and (table := command.split()[0]) in _schemas.names():
        _check(table, made)


def _check(name: str, made: dict[str, Any]) -> None:
    problems = [
        f"{name}: {'.'.join(map(str, e.absolute_path))}: {e.message}" for e in validator_of(name).iter_errors(made)
    ]
    assert not problems, "\n".join(problems)


@cache
def validator_of(name: str) -> Draft202012Validator:
    """Like the schema of that name, but it refuses members that the schema does not name."""
    from jsonschema import Draft202012Validator  # takes seconds: not in each process that collects the tests

    schema = copy.deepcopy(_schemas.schema(name))
    Draft202012Validator.check_schema(schema)
    for found in schema["$defs"].values():
        if "properties" in found:  # new members may come later, but not without their schema
            found.setdefault("additionalProperties", False)
    return Draft202012Validator(schema, format_checker=Draft202012Validator.FORMAT_CHECKER)
