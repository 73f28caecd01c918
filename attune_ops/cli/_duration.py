"""Times on the command line: `500ms`, `30s`, `5m`, `1h`; a bare number is seconds."""

from __future__ import annotations

import re

import click

UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "": 1.0}


def seconds(text: str) -> float:
    """The seconds of a time, as a type of an option; a wrong one ends the command with status 2."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?)(ms|s|m|h|)", text.strip(), re.ASCII)
    if not found:
        raise click.BadParameter(f"{text!r} is no time; allowed are 500ms, 30s, 5m, 1h")
    return float(found[1]) * UNITS[found[2]]
