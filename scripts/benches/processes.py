"""How long the command takes to start and to answer a probe, against `python -c pass`."""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import attune_ops
from attune_ops.startup.service import Service
from benches import Result, Site, side_by_side, spent

RUNS = 25
COMMAND = Path(sys.executable).with_name("attune-ops")
PASS = [sys.executable, "-c", "pass"]


def measure(site: Site) -> Iterator[Result]:
    """`--version` needs no broker; the probes ask a running worker, its registry and the broker.

    Processor time: beside other load a process of 40 ms takes longer for what it waits for.
    """
    compiled()
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_OPS")}
    yield against_pass("attune-ops --version", ["--version"], plain, 5)
    yield against_pass("attune-ops --help", ["--help"], plain, 5)
    yield against_pass("attune-ops doctor --help", ["doctor", "--help"], plain, 5)
    for kind, settings in (
        ("SQLite", site.settings(registry="probed")),
        ("PostgreSQL", site.settings(database=site.postgresql)),
    ):
        with Service(settings, "worker", name="w1") as service:
            started = service.start()
            assert started.ok, started
            pointed = plain | site.environment(settings)
            wait_for_statistics(pointed)
            if kind == "SQLite":
                yield against_pass("attune-ops health broker", ["health", "broker"], pointed, 10)
            yield against_pass(f"attune-ops health worker 1, {kind}", ["health", "worker", "1"], pointed, 10)


def compiled() -> None:
    """Compiles the package, as an installer does: else a process with PYTHONDONTWRITEBYTECODE does it each time."""
    compileall.compile_dir(str(Path(attune_ops.__file__).parent), quiet=1)


def against_pass(what: str, arguments: list[str], environment: dict[str, str], limit: float) -> Result:
    first, second = side_by_side(
        lambda: spent([COMMAND, *arguments], environment)[0], lambda: spent(PASS, environment)[0], RUNS
    )
    return Result(what, "python -c pass", first, second, limit, RUNS)


def wait_for_statistics(environment: dict[str, str]) -> None:
    """The broker tells of a new consumer only after some seconds."""
    import subprocess

    command = [COMMAND, "health", "worker", "1", "--wait", "30s"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
