"""The option type of a duration."""

from __future__ import annotations

import re

import click

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def duration(text: str) -> float:
    """Option type: `500ms`, `30s`, `5m`, `1h` in seconds; a number without unit is seconds. Else exit status 2."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip(), re.ASCII)
    if not found:
        raise click.BadParameter(f"{text!r} is not a duration; use for example 500ms, 30s, 5m, 1h")
    return float(found[1]) * UNITS[found[2]]
