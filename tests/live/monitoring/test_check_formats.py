"""`--format prometheus` and `--format nagios` of the one-off commands, on a real broker."""

from __future__ import annotations

import stat
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.live.monitoring.test_serve import parsed, serving
from tests.live.places import Place
from tests.unit.monitoring.test_rules import promtool  # noqa: F401 - a fixture
from tests.world import Run, eventually

AWAY = {
    "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:1",
    "ATTUNE_OPS_AMQP_URL": "amqp://u:Sekrit42x@127.0.0.1:1/",
}


@pytest.fixture
def here(place: Callable[..., Place], run: Run) -> Place:
    made = place().populate()
    eventually(lambda: "worker-2" in run("consumers", "--format", "csv", env=made.environment).stdout, within=40)
    return made


def accepted(promtool: str, text: str) -> None:  # noqa: F811
    """Fails for what `promtool check metrics` has anything to say about."""
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_nagios_by_its_four_statuses(here: Place, run: Run) -> None:
    def check(*words: str, status: int) -> str:
        done = run(*words, "--format", "nagios", env=here.environment, status=status)
        assert done.stdout.count("\n") == 1
        assert "Traceback" not in done.stderr
        return done.stdout

    said = check("queues", "worker.*", "--warn", "messages=1000", "--crit", "consumers=0", status=0)
    assert said.startswith("QUEUES OK - 2 queues checked | 'queues'=2 ")
    assert "'worker.1.executions messages'=0;1000" in said
    assert "'worker.1.executions consumers'=1;;@~:0" in said
    assert check("workers", status=0).startswith("WORKERS OK - 2 workers checked")
    assert check("health", "worker", "w1", status=0).startswith("HEALTH OK - healthy: worker ")
    assert check("health", "broker", "--warn", "duration_ms=60000", status=0).startswith("HEALTH OK")
    here.publish("attune.events", "event.created", 7)
    events = ("queues", "attune.events.queue")
    # Until the broker has statistics of the queue its consumers are unknown.
    eventually(lambda: run(*events, "--format", "nagios", env=here.environment).returncode == 0, every=1)
    assert check(*events, status=0).startswith("QUEUES OK - 1 queue checked"), "no service consumes it"
    assert "messages is 7 (warning: 5)" in check(*events, "--warn", "messages=5", status=1)
    orders = ("queues", "attune.executions.queue", "--warn", "consumers=5")
    assert check(*orders, status=1).startswith(
        "QUEUES WARNING - attune.executions.queue: consumers is 3 (warning: @~:5)"
    )
    assert check("doctor", "--only", "AT501", status=1).startswith("DOCTOR WARNING - degraded: 1 warning")
    assert check("doctor", "--only", "AT501", "--crit", "warnings=0", status=2).startswith("DOCTOR CRITICAL")
    assert check("doctor", "--only", "AT501", "--warn", "warnings=5", status=0).startswith("DOCTOR OK")
    # Nothing that matches, a wrong threshold, a wrong option: nobody knows, which is not critical.
    assert check("queues", "no-such", status=3).startswith("QUEUES UNKNOWN - there is no such queue")
    assert check("queues", "--crit", "nonsense=1", status=3).startswith("UNKNOWN - no metric 'nonsense' here")
    assert check("queues", "--no-such-option", status=3).startswith("UNKNOWN - No such option")
    here.vhost.api("DELETE", "queues/{vhost}/worker.1.executions")
    assert check("workers", "w1", status=2).startswith("WORKERS CRITICAL - w1: no queue")
    assert check("health", "worker", "w1", status=2).startswith("HEALTH CRITICAL - not healthy: worker ")


def test_nagios_without_a_broker_is_unknown(here: Place, run: Run) -> None:
    env = here.environment | AWAY
    for words in (("queues",), ("health", "broker"), ("workers",)):
        done = run(*words, "--format", "nagios", env=env)
        assert done.returncode == 3
        assert "UNKNOWN - " in done.stdout.partition(":")[0]
        assert "Sekrit42x" not in done.stdout + done.stderr


def test_prometheus_has_the_names_and_values_of_serve(
    here: Place, run: Run, promtool: str, tmp_path: Path  # noqa: F811
) -> None:  # fmt: skip
    file = tmp_path / "attune.prom"

    def written(*words: str, status: int = 0) -> dict[tuple[str, ...], float]:
        done = run(*words, "--format", "prometheus", "--output", file, env=here.environment, status=status)
        assert done.stdout == ""
        assert stat.S_IMODE(file.stat().st_mode) == 0o644, "node_exporter is another user"
        accepted(promtool, file.read_text())
        return parsed(file.read_text())

    with serving(here) as server:

        def known() -> dict[tuple[str, ...], float] | None:  # the statistics of a queue come after some seconds
            values = server.values
            queues = [k for k in values if k[0] == "queue_consumers" and k[1].startswith("attune.")]
            return values if values.get(("worker_consumers", "w1")) == 1 and len(queues) == 3 else None

        served = eventually(known, within=30)
        assert (
            subprocess.run([promtool, "check", "metrics"], input=server.get("/metrics").text, text=True).returncode == 0
        )
    moving = ("worker_heartbeat_age_seconds", "attune_ops", "info", "unroutable_messages_total")
    for words, least in ((("queues", "attune.*"), 12), (("workers",), 15), (("doctor",), 40)):
        got = written(*words, status=1 if words == ("doctor",) and served["severity_findings", "error"] else 0)
        assert len(got) >= least
        common = {k: v for k, v in got.items() if k[0] not in moving and k in served}
        assert len(common) >= least * 0.7
        assert common == {k: served[k] for k in common}
        assert {k[0] for k in got} <= {k[0] for k in served}, "no name of its own"
    health = written("health", "worker", "w1")
    assert {k[:2]: v for k, v in health.items()}["healthy", "worker"] == 1


def test_a_failed_run_leaves_the_file(here: Place, run: Run, tmp_path: Path) -> None:
    file = tmp_path / "attune.prom"
    run("queues", "--format", "prometheus", "--output", file, env=here.environment, status=0)
    before = file.read_bytes()
    env = here.environment | AWAY
    run("queues", "--format", "prometheus", "--output", file, env=env, status=3)
    assert file.read_bytes() == before
    assert [f.name for f in tmp_path.iterdir() if f.name.endswith((".prom", ".part"))] == ["attune.prom"]
    for words in (
        ("--output", str(file)),
        ("--warn", "messages=1"),
        ("--format", "prometheus", "--crit", "messages=1"),
    ):
        assert run("queues", *words, env=here.environment).returncode == 2


@pytest.mark.parametrize("command", ["doctor", "health worker", "queues", "workers"])
def test_the_examples_of_the_help_run_as_printed(command: str, here: Place, run: Run) -> None:
    help_text = run(*command.split(), "--help", status=0).stdout
    examples = [line.split() for line in help_text.rpartition("\nExample:\n")[2].splitlines() if "--format" in line]
    for (_, *words), kind in zip(examples, ("prometheus", "nagios"), strict=True):
        assert kind in words
        done = run(*(w.strip("'") for w in words), env=here.environment, status=0)
        if kind == "nagios":
            assert " OK - " in done.stdout
        else:
            written = run.folder / words[-1]
            assert parsed(written.read_text())
