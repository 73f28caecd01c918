"""Every notebook runs from top to bottom on the real broker, and no cell ends in an error."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from attune_ops.notebook.runbooks import catalog
from tests.world import Broker, Run, Vhost, clean_environment, eventually

pytestmark = pytest.mark.slow

PARAMETERS: Mapping[str, Mapping[str, Any]] = {
    "06-orphans": {"grace_minutes": 0},
    "08-after-failover": {"before": "before.json.gz"},
    "10-capacity": {"seconds": 2, "interval": 1},
}
# Words that an outcome must hold, so that a notebook cannot pass by showing nothing.
SHOWS = {
    "01-first-look": ("attune.events.queue", "2 registered", "<svg"),
    "02-not-found-no-queue": ("404 NOT_FOUND - no queue", "✓ ready", "worker.1.executions"),
    "03-worker-does-not-start": ("404 NOT_FOUND", "✓ ready"),
    "04-queue-grows": ("attune.events.queue", "prefetch"),
    "05-messages-vanish": ("worker.1.executions", "attune.dlx"),
    "06-orphans": ("worker.77.executions", "deleted"),
    "07-planned-failover": ("AT110", "✓ ready"),
    "08-after-failover": ("AT413",),
    "09-topology-change": ("AT701",),
    "10-capacity": ("application/vnd.vegalite.v5+json", "attune.events.queue"),
}


@dataclass(frozen=True)
class Site:
    """A virtual host with two workers and an executor, and how the command is run there."""

    run: Run
    vhost: Vhost
    environment: dict[str, str]

    def notebook(self, name: str, *more: str) -> dict[str, Any]:
        """Runs a notebook with everything allowed and returns it with its outputs."""
        pairs = [w for k, v in PARAMETERS.get(name, {}).items() for w in ("-p", f"{k}={json.dumps(v)}")]
        output = self.run.folder / f"{name}.out.ipynb"
        self.run(
            "notebook", "run", name, "--output", output, "--force", *pairs, *more,
            env=self.environment, status=0, timeout=180,
        )  # fmt: skip
        made: dict[str, Any] = json.loads(output.read_text())
        return made


@pytest.fixture(scope="module")
def site(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    folder: Path = tmp_path_factory.mktemp("site")
    run = Run(folder, clean_environment(folder / "home"))
    topology = "attune-2026-09" if broker.version >= (4, 3) else "attune-2026-01"
    with broker.vhost() as vhost, ExitStack() as held:
        environment = vhost.environment | {
            "ATTUNE_OPS_DATABASE_URL": f"sqlite:///{folder}/registry.sqlite",
            "ATTUNE_OPS_TOPOLOGY": topology,
        }
        for service in (["--service", "executor"], ["--worker", "w1"], ["--worker", "w2"]):
            held.enter_context(run.start("startup", *service, "--hold", "--apply", env=environment))
        made = Site(run, vhost, environment)
        eventually(lambda: len(made.vhost.api("GET", "consumers/{vhost}").json()) >= 3, within=60)
        run("snapshot", "save", "before.json.gz", env=environment, status=0)
        yield made


def texts(made: dict[str, Any]) -> str:
    outputs = [o for c in made["cells"] if c["cell_type"] == "code" for o in c["outputs"]]
    assert not [o for o in outputs if o["output_type"] == "error"]
    assert not [o for o in outputs if o.get("name") == "stderr"]
    shown = [o for o in outputs if "data" in o]
    assert all("text/plain" in o["data"] for o in shown), "text is in every bundle"
    assert not [o for o in shown if "<script" in o["data"].get("text/html", "")], "nothing is fetched to be shown"
    return json.dumps([o["data"] for o in shown], ensure_ascii=False)


@pytest.mark.parametrize("name", [file.stem for file in catalog.files()])
def test_it_runs_and_shows_something(name: str, site: Site) -> None:
    if name == "06-orphans":
        site.vhost.api("PUT", "queues/{vhost}/worker.77.executions", {"durable": True})
    made = texts(site.notebook(name, "--apply"))
    missing = [words for words in SHOWS[name] if words not in made]
    assert not missing, made
    assert site.vhost.password == "guest" or site.vhost.password not in made


def test_without_apply_nothing_changes(site: Site) -> None:
    before = {what: site.vhost.names(what) for what in ("queues", "exchanges")}
    made = texts(site.notebook("02-not-found-no-queue"))
    assert "Not done: this runbook may not change the installation" in made
    assert "--skip declare --skip bind" in made
    assert {what: site.vhost.names(what) for what in ("queues", "exchanges")} == before


def test_without_an_installation_it_starts_a_lab_and_ends_it(run: Run) -> None:
    run("notebook", "run", "7", "--output", "out.ipynb", status=0, timeout=240)
    left = {p.name for p in run.folder.iterdir()}
    assert left == {"out.ipynb", "before-failover.json.gz"}, "and no socket or file besides"
    made = texts(json.loads((run.folder / "out.ipynb").read_text()))
    assert "A lab of this runbook" in made
    assert "✓ ready" in made
    assert ": confirmed — " in made, "the drill ran"
    assert json.loads(run("lab", "status", "--format", "json").stdout)["rows"] == []


def test_a_cell_that_fails_is_one_line_and_what_ran_is_kept(site: Site) -> None:
    done = site.run("notebook", "run", "10", "--output", "failed.ipynb", "-p", "interval=often", env=site.environment)
    assert done.returncode == 1
    assert "10-capacity failed: cell 6: " in done.stderr
    assert done.stderr.count("\n") == 1
    assert (site.run.folder / "failed.ipynb").exists()


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["nonsense", "--output", "x.ipynb"], "no notebook 'nonsense'; there are 01-first-look"),
        (
            ["1", "--output", "x.ipynb", "-p", "colour=red"],
            "01-first-look has no parameter 'colour'; it has env, apply",
        ),
        (["1", "--output", "x.ipynb", "-p", "colour"], "invalid parameter 'colour': write NAME=VALUE"),
        (["1"], "Missing option '--output'"),
    ],
)
def test_a_wrong_command_line(arguments: list[str], says: str, run: Run) -> None:
    done = run("notebook", "run", *arguments, status=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
