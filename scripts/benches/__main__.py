"""Runs the benchmarks and prints their table."""

from __future__ import annotations

import importlib
import json
import pkgutil
import sys
import time
from pathlib import Path
from types import ModuleType

import click

import benches
from benches import Result, Site


def names() -> list[str]:
    return [m.name for m in pkgutil.iter_modules(benches.__path__) if not m.name.startswith("_")]


@click.command()
@click.argument("wanted", nargs=-1, metavar="[NAME]…")
@click.option("--list", "only_list", is_flag=True, help="Print the names.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--server", metavar="DIR|PATH", help="Another RabbitMQ: its folder, or its rabbitmq-server.")
def main(wanted: tuple[str, ...], only_list: bool, as_json: bool, server: str | None) -> None:
    """Runs the benchmarks of these names, or all."""
    unknown = set(wanted) - set(names())
    if unknown:
        raise click.UsageError(f"no benchmark {', '.join(sorted(unknown))}; there are {', '.join(names())}")
    if only_list:
        click.echo("\n".join(names()))
        return
    results = run(wanted or tuple(names()), server)
    click.echo(json.dumps([plain(r) for r in results], indent=2) if as_json else table(results))
    sys.exit(0 if all(r.kept for r in results) else 1)


def run(wanted: tuple[str, ...], server: str | None) -> list[Result]:
    results: list[Result] = []
    site = Site(server)
    try:
        for name in wanted:
            module = importlib.import_module(f"benches.{name}")
            click.echo(f"{name}: {title(module)}", err=True)
            began = time.monotonic()
            for result in module.measure(site):
                results.append(result)
                click.echo(f"  {result.what}: {result.ratio:.2f}", err=True)
            click.echo(f"  took {time.monotonic() - began:.0f} s", err=True)
    finally:
        site.close()
    return results


def title(module: ModuleType) -> str:
    return (module.__doc__ or "").splitlines()[0]


def table(results: list[Result]) -> str:
    lines = [
        "| what | ours | compared with | takes | ratio | allowed | |",
        "| --- | ---: | --- | ---: | ---: | ---: | --- |",
    ]
    for r in results:
        limit = "" if r.limit is None else f"{r.limit:g}"
        verdict = "" if r.limit is None else "kept" if r.kept else "NOT KEPT"
        times = f"{r.ours_ms:.1f} {r.unit} | {r.against} | {r.other_ms:.1f} {r.unit}"
        lines.append(f"| {r.what} | {times} | {r.ratio:.2f} | {limit} | {verdict} |")
    return "\n".join(lines)


def plain(result: Result) -> dict[str, object]:
    return {**vars(result), "ratio": round(result.ratio, 3), "kept": result.kept}


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[1]))
    main(prog_name="scripts/bench")
