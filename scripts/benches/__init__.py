"""Benchmarks: a file here without a leading underscore is one, found by convention.

It has a function `measure(site)`, which yields a `Result` for each promise that it looks at; its docstring's
first line is its title. `site` starts a broker of the bench's own when it is first asked for one.
"""

from __future__ import annotations

import os
import secrets
import shutil
import statistics
import subprocess
import tempfile
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from attune_ops import lab
from attune_ops.installation.config import Settings, resolve
from attune_ops.lab.postgres import SCHEMA, Postgres

LAB = f"bench-{os.getpid()}"  # several benches may run at once


@dataclass(frozen=True)
class Result:
    """One promise: ours against what it is compared with, and how many times longer ours may take.

    Both are in ms, or in another `unit`.
    """

    what: str
    against: str
    ours_ms: float
    other_ms: float
    limit: float | None = None
    runs: int = 1
    unit: str = "ms"

    @property
    def ratio(self) -> float:
        """How many times longer ours takes."""
        return self.ours_ms / self.other_ms

    @property
    def kept(self) -> bool:
        """Whether it is within its limit."""
        return self.limit is None or self.ratio <= self.limit


class Site:
    """The lab of one run of the benchmarks, and a folder; both go at its end."""

    def __init__(self, server: str | None) -> None:
        self._server = server
        self._folder = tempfile.TemporaryDirectory(prefix="attune-ops-bench-")
        self._postgres: Postgres | None = None

    @property
    def folder(self) -> Path:
        """A folder for files."""
        return Path(self._folder.name)

    @cached_property
    def lab(self) -> lab.Lab:
        """The broker, started on first use."""
        return lab.up(LAB, server=self._server)

    @cached_property
    def postgresql(self) -> str:
        """The URL of a PostgreSQL database with Attune's tables, its server started on first use."""
        self._postgres = Postgres(Path(tempfile.gettempdir(), f"attune-ops-bench-{secrets.token_hex(6)}"))
        self._postgres.make()
        self._postgres.start()
        self._postgres.execute(SCHEMA.format(schema="attune"))
        return f"{self._postgres.url}/postgres"

    def settings(
        self,
        topology: str = "attune-2026-01",
        registry: str = "registry",
        database: str | None = None,
        vhost: str = "",
    ) -> Settings:
        """The settings of an installation on the broker, with a registry of its own, or in the `database` of a URL."""
        state = self.lab.state
        amqp_url = f"{state.amqp_url.rpartition('/')[0]}/{vhost}" if vhost else state.amqp_url
        target = {"amqp_url": amqp_url, "management_url": state.management_url, "topology": topology}
        return resolve(target | {"database_url": database or f"sqlite:///{self.folder}/{registry}.sqlite"}, {})

    def broker_ms(self) -> float:
        """The processor time of the broker since its start, in ms. Linux only."""
        (node,) = self.lab.state.nodes
        assert node.process is not None
        fields = Path(f"/proc/{node.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) * 1000 / os.sysconf("SC_CLK_TCK")

    def environment(self, settings: Settings) -> dict[str, str]:
        """The variables that point a process there."""
        state = self.lab.state
        assert settings.database is not None
        return {
            "ATTUNE_OPS_AMQP_URL": state.amqp_url,
            "ATTUNE_OPS_MANAGEMENT_URL": state.management_url,
            "ATTUNE_OPS_DATABASE_URL": settings.database.url.reveal(),
        }

    def close(self) -> None:
        """Takes the broker down and removes the folder."""
        if "lab" in self.__dict__:
            lab.down(LAB)
        if self._postgres is not None:
            self._postgres.stop()
            shutil.rmtree(self._postgres.folder)
        self._folder.cleanup()


def side_by_side(ours: Callable[[], float], other: Callable[[], float], runs: int) -> tuple[float, float]:
    """The medians of two things that say how long they took, in turns, so that both meet the same machine."""
    first: list[float] = []
    second: list[float] = []
    for turn in range(runs):
        pair = [(ours, first), (other, second)]
        for run, times in pair if turn % 2 else reversed(pair):
            times.append(run())
    return statistics.median(first), statistics.median(second)


def spent(
    command: Sequence[str | Path], environment: dict[str, str], fine: Collection[int] = (0,)
) -> tuple[float, float]:
    """The processor time of a process in ms and its most memory in MB; its exit status must be one of `fine`."""
    with open(os.devnull, "w") as nowhere, subprocess.Popen(command, env=environment, stdout=nowhere) as running:
        _, status, used = os.wait4(running.pid, 0)
        running.returncode = os.waitstatus_to_exitcode(status)
    assert running.returncode in fine, running.returncode
    return (used.ru_utime + used.ru_stime) * 1000, used.ru_maxrss / 1024


def process_ms(command: Sequence[str | Path], environment: dict[str, str]) -> float:
    """How long a process takes from its start to its end; it must succeed."""
    began = time.perf_counter()
    subprocess.run(command, env=environment, stdout=subprocess.DEVNULL, check=True)
    return (time.perf_counter() - began) * 1000
