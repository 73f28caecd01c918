"""How long the command takes to start and to answer a probe, against `python -c pass`."""

from __future__ import annotations

import compileall
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import attune_ops
from attune_ops.startup.service import Service
from benches import Result, Site, process_ms, side_by_side

RUNS = 25
COMMAND = Path(sys.executable).with_name("attune-ops")
PASS = [sys.executable, "-c", "pass"]


def measure(site: Site) -> Iterator[Result]:
    """`--version` needs no broker; the probes ask a running worker and the broker."""
    compileall.compile_dir(str(Path(attune_ops.__file__).parent), quiet=1)  # as an installation has it
    plain = {name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_OPS")}
    yield against_pass("attune-ops --version", ["--version"], plain, 5)
    yield against_pass("attune-ops --help", ["--help"], plain, 5)
    yield against_pass("attune-ops doctor --help", ["doctor", "--help"], plain, 5)
    settings = site.settings(registry="probed")
    with Service(settings, "worker", name="w1") as service:
        started = service.start()
        assert started.ok, started
        pointed = plain | site.environment(settings)
        wait_for_statistics(pointed)
        yield against_pass("attune-ops health broker", ["health", "broker"], pointed, 10)
        yield against_pass("attune-ops health worker 1", ["health", "worker", "1"], pointed, 10)


def against_pass(what: str, arguments: list[str], environment: dict[str, str], limit: float) -> Result:
    first, second = side_by_side(
        lambda: process_ms([COMMAND, *arguments], environment), lambda: process_ms(PASS, environment), RUNS
    )
    return Result(what, "python -c pass", first, second, limit, RUNS)


def wait_for_statistics(environment: dict[str, str]) -> None:
    """The broker tells of a new consumer only after some seconds."""
    import subprocess

    command = [COMMAND, "health", "worker", "1", "--wait", "30s"]
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
