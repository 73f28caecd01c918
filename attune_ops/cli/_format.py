"""The output format of a command: `--format`, its short forms, and `--raw`."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click
from click.core import ParameterSource

JSON = "attune_ops.json"  # a key of `Context.meta`


def _json(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    ctx.meta[JSON] = value


def _format(ctx: click.Context, param: click.Parameter, value: str) -> str:
    if not ctx.meta.get(JSON):
        return value
    if value != "json" and ctx.get_parameter_source("format") is not ParameterSource.DEFAULT:
        raise click.UsageError(f"--json and --format {value} are different formats; give one of them")
    return "json"


def _raw(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if ctx.obj is not None:
        ctx.obj.raw = value


def format_option(*more: str) -> Callable[[Any], Any]:
    """`--format table|json|csv|markdown`, and `more`; `--raw` is for CSV."""
    choices = ("table", "json", "csv", "markdown", *more)
    raw = click.option(
        "--raw", is_flag=True, expose_value=False, callback=_raw, help="With csv: the data exactly, for programs."
    )
    format = click.option(
        "-o",
        "--format",
        "format",
        type=click.Choice(choices),
        callback=_format,
        default="table",
        show_default=True,
        help="Output format; --json is -o json.",
    )
    json = click.option(
        "--json", "json_", is_flag=True, is_eager=True, expose_value=False, callback=_json, hidden=True, help="-o json"
    )
    return lambda function: format(json(raw(function)))
