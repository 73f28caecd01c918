"""An option that holds a JSON object."""

from __future__ import annotations

from typing import Any

import click


def json_object(ctx: click.Context, param: click.Parameter, value: str | None) -> dict[str, Any] | None:
    """The object; None where the option is not given. What is none ends the command with status 2."""
    import msgspec

    try:
        return None if value is None else msgspec.json.decode(value.encode(), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeError, RecursionError) as e:
        raise click.BadParameter(f"not a JSON object: {e}") from None
