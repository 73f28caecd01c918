"""The example that ends each command's help works as printed, on a running installation; so does its JSON."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import pytest

from attune_ops.cli import _exit
from tests.cli.commands import ALL, formats
from tests.cli.described import described
from tests.world import Broker, Run, Vhost, clean_environment, eventually

pytestmark = pytest.mark.slow  # several installations

# The example shows the incident, which a later step runs into.
FAILS_ON_PURPOSE = {"startup"}
# These answer a question, and "no" is an answer.
JUDGES = {
    "doctor", "health worker", "health broker", "health route", "lab status", "config check", "topology diff",
    "snapshot diff",
}  # fmt: skip
# What makes comes first, what takes away last.
ORDER = {"up": 0, "init": 0, "save": 0, "record": 0, "down": 2, "remove": 2}

JOURNALS = Path(__file__).parents[2] / "docs" / "journals"

SERVICES = (["--service", "executor"], ["--service", "notifier"], ["--service", "sensor"], ["--worker", "held"])


@dataclass(frozen=True)
class Site:
    """A virtual host in which every service runs, and a folder whose commands point there."""

    run: Run
    vhost: Vhost
    environment: dict[str, str]

    def shell(self, line: str, timeout: float = 60) -> subprocess.CompletedProcess[str]:
        """Runs a line as somebody would who copies it."""
        return self.run.shell(line, self.environment, timeout)


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    run = Run(folder, clean_environment(folder / "home"))
    with broker.vhost() as vhost, ExitStack() as held:
        environment = vhost.environment | {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{folder}/registry.sqlite"}
        made = Site(run, vhost, environment)
        for service in SERVICES:
            release = {"ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}
            held.enter_context(run.start("startup", *service, "--hold", "--apply", env=environment | release))
        eventually(lambda: "worker-1" in made.shell("attune-ops consumers --format csv").stdout, within=40)
        for name in ("before", "after"):  # what `snapshot show` and `diff` read
            made.shell(f"attune-ops snapshot save {name}.json.gz")
        made.shell("attune-ops history record --interval 1s --for 2s")  # what `history` shows
        shutil.copy(JOURNALS / "worker-crash.durable.json", folder / "worker-crash.json")  # what `drill report` reads
        try:
            yield made
        finally:
            made.shell("attune-ops lab down")


def grouped() -> dict[str, list[str]]:
    """The commands by their first word, in an order that makes sense."""
    found: dict[str, list[str]] = {}
    for name in sorted(ALL, key=lambda n: ORDER.get(n.split()[-1], 1)):
        found.setdefault(name.split()[0], []).append(name)
    return found


def allowed(name: str) -> set[int]:
    if name in FAILS_ON_PURPOSE:
        return {_exit.FOUND}
    return {_exit.OK, _exit.FOUND} if name in JUDGES else {_exit.OK}


@pytest.mark.parametrize("names", grouped().values(), ids=grouped())
def test_examples_work_as_printed(names: list[str], site: Site) -> None:
    for name in names:
        for line in ALL[name].example.splitlines():
            done = site.shell(line)
            said = f"$ {line}\n{done.stdout}{done.stderr}exit status {done.returncode}"
            critical = {2} if name in JUDGES and "--format nagios" in line else set()  # the status of a plug-in
            assert done.returncode in allowed(name) | critical, said
            assert "Traceback" not in done.stderr, said
            assert "\x1b" not in done.stdout + done.stderr, said


@pytest.mark.parametrize("name", [n for n, c in ALL.items() if "json" in formats(c)])
def test_json_is_valid_and_is_as_its_schema_says(name: str, site: Site) -> None:
    *before, last = ALL[name].example.splitlines()
    if name == "config list":  # of a file that no other test here reads
        before = ["attune-ops config init listed.toml --apply"]
        last = f"ATTUNE_OPS_CONFIG=listed.toml {last}"
    if name not in JUDGES:  # whose lines do not depend on each other
        for line in before:
            site.shell(line)
    line = re.sub(r" (--format|--warn|--crit|>) \S+", "", last)  # nagios's thresholds are for nagios
    assert "attune-ops" in shlex.split(line)[:2], "the last line of the example is the command"
    done = site.shell(f"{line} --format json")
    assert done.returncode in allowed(name), done.stderr
    made = json.loads(done.stdout)
    assert re.fullmatch(r"attune-ops/[a-z-]+/\d+", made["schema"])
    described(made, name)
