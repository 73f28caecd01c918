"""The option type of a duration."""

from __future__ import annotations

import click

from attune_ops.model.units import seconds


def duration(text: str) -> float:
    """Option type: `500ms`, `30s`, `5m`, `1h`, `2d` in seconds; a number without unit is seconds. Else status 2."""
    found = seconds(text)
    if found is None:
        raise click.BadParameter(f"{text!r} is not a duration; use for example 500ms, 30s, 5m, 1h, 2d")
    return found
