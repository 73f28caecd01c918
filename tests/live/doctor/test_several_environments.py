"""`doctor --env a --env b`: one report, one exit status, in the time of the slowest."""

from __future__ import annotations

import json
import os
import socket
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from prometheus_client.parser import text_string_to_metric_families

import attune_ops
from attune_ops.model.errors import ConfigError
from attune_ops.ops import Ops
from tests.cli.described import described
from tests.live.attack.proxy import Proxy
from tests.live.places import Place
from tests.world import Broker, Run, eventually

QUEUE = "attune.events.queue"
SECRET = "Wr0ng-S3cret-of-this-test"


class Installations:
    """A configuration file with environments that are healthy, broken, away, silent, refused and wrong."""

    def __init__(self, file: Path, good: Place, broken: Place, proxy: Proxy) -> None:
        self.file, self.good, self.broken = file, good, broken
        with socket.create_server(("127.0.0.1", 0)) as closed:
            nobody = f"127.0.0.1:{closed.getsockname()[1]}"
        broker: Broker = good.vhost.broker
        silent = proxy.port(broker.amqp_address), proxy.port(broker.management_address)
        self.written = {
            "good": self._of(good.vhost.amqp_url, good.vhost.management_url, good.database),
            "broken": self._of(broken.vhost.amqp_url, broken.vhost.management_url, broken.database),
            "away": self._of(f"amqp://u:{SECRET}@{nobody}/v", f"http://{nobody}"),
            "silent": self._of(f"amqp://u:{SECRET}@127.0.0.1:{silent[0]}/v", f"http://127.0.0.1:{silent[1]}"),
            "refused": self._of(f"amqp://u:{SECRET}@{broker.amqp_address}/v", f"http://{broker.management_address}"),
            "wrong": {"amqp_url": "amqp://u@127.0.0.1/v", "password_env": "NOT_SET_ANYWHERE"},
        }
        self.keep(*self.written)

    @staticmethod
    def _of(amqp: str, management: str, database: str | None = None) -> dict[str, str]:
        said = {"amqp_url": amqp, "management_url": management, "topology": "attune-2026-01"}
        return said | ({"database_url": database, "stale_after": "600"} if database else {})

    def keep(self, *names: str) -> None:
        """Writes the file with these environments."""
        lines = [
            f"[env.{name}]\n" + "".join(f"{k} = {v if v.isdigit() else json.dumps(v)}\n" for k, v in members.items())
            for name, members in self.written.items()
            if name in names
        ]
        self.file.write_text("\n".join(lines))


@pytest.fixture(scope="module")
def shared(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Installations]:
    folder = tmp_path_factory.mktemp("several")
    with ExitStack() as stack:
        proxy = Proxy("silent")
        stack.callback(proxy.close)
        places = []
        for _ in range(2):
            places.append(Place(stack.enter_context(broker.vhost()), folder))
            stack.callback(places[-1].close)
            places[-1].populate()
        good, broken = places
        # Until the statistics list their consumers, the workers are starting.
        eventually(lambda: {s for place in places for s in Ops(place.settings).workers()["state"]} == {"ready"})
        yield Installations(folder / "attune-ops.toml", good, broken, proxy)


@pytest.fixture
def them(shared: Installations, monkeypatch: pytest.MonkeyPatch) -> Installations:
    """All environments in the file; one of them lacks a queue."""
    monkeypatch.setenv("ATTUNE_OPS_CONFIG", str(shared.file))
    shared.keep(*shared.written)
    shared.broken.vhost.api("DELETE", f"queues/{{vhost}}/{QUEUE}", ok=(204, 404))
    return shared


def envs(*names: str) -> list[str]:
    return [word for name in names for word in ("--env", name)]


def samples_of(text: str) -> dict[tuple[str, ...], float]:
    """Each sample by its name, the environment and the other label values."""
    families = text_string_to_metric_families(text)
    return {
        (s.name, s.labels["env"], *(v for k, v in s.labels.items() if k not in ("env", "id"))): s.value
        for f in families
        for s in f.samples
    }


def told(run: Run, *words: str, env: dict[str, str] | None = None, status: int | None = None) -> CompletedProcess[str]:
    """The doctor with the configuration file of this module."""
    here = {"ATTUNE_OPS_CONFIG": os.environ["ATTUNE_OPS_CONFIG"]}
    return run("doctor", *words, env=here | (env or {}), status=status)


def asked(run: Run, *words: str, status: int) -> dict[str, Any]:
    done = told(run, *words, "--json", status=status)
    assert SECRET not in done.stdout + done.stderr
    made: dict[str, Any] = json.loads(done.stdout)
    return made


def test_one_report_and_one_exit_status(them: Installations, run: Run) -> None:
    found = asked(run, *envs("good", "broken", "refused", "away", "wrong"), status=1)
    assert found["schema"] == "attune-ops/doctor-all/1"
    described(found)
    assert [e["env"] for e in found["summary"]["environments"]] == ["good", "broken", "refused", "away", "wrong"]
    assert list(found["environments"]) == ["good", "broken", "refused", "away", "wrong"]
    statuses = {name: e["summary"]["status"] for name, e in found["environments"].items()}
    assert statuses["good"] == "degraded"  # the known weaknesses of the topology
    assert {statuses[n] for n in ("broken", "refused", "away")} == {"unhealthy"}
    assert statuses["wrong"] == "not diagnosed"
    assert "NOT_SET_ANYWHERE is not set" in found["environments"]["wrong"]["error"]
    for name, e in found["environments"].items():
        assert all(f["env"] == name for f in e["findings"])
    codes = {name: {f["code"] for f in e["findings"]} for name, e in found["environments"].items()}
    assert "AT202" in codes["broken"] - codes["good"]
    assert {"AT101", "AT102"} <= codes["refused"] & codes["away"]
    (gone,) = [f for f in found["environments"]["broken"]["findings"] if f["code"] == "AT202"]
    assert gone["commands"][0].startswith("attune-ops --env broken topology apply"), gone["commands"]
    # 1 before 3 before 2 before 0
    asked(run, *envs("good", "away"), status=3)
    asked(run, *envs("good", "refused", "wrong"), status=3)
    asked(run, *envs("good", "wrong"), status=2)
    them.keep("good", "broken")
    assert list(asked(run, "--all-envs", status=1)["environments"]) == ["broken", "good"]
    them.keep("good")
    assert list(asked(run, "--all-envs", status=0)["environments"]) == ["good"]


def test_a_command_that_is_printed_fixes_its_own_environment(them: Installations, run: Run) -> None:
    found = asked(run, *envs("good", "broken"), status=1)["environments"]["broken"]["findings"]
    command = next(f["commands"][0] for f in found if f["code"] == "AT202")
    done = run.shell(command, {"ATTUNE_OPS_CONFIG": str(them.file)})
    assert done.returncode == 0, done.stderr
    assert QUEUE in them.broken.vhost.names("queues")


def test_the_time_of_the_slowest(them: Installations, run: Run) -> None:
    """Two that do not answer take the time of one, and the others are complete."""

    them.written["quiet"] = them.written["silent"]
    them.keep(*them.written)
    found = asked(run, *envs("silent", "good", "quiet"), "--timeout", "6s", status=3)
    took = {name: e["duration_ms"] for name, e in found["environments"].items()}
    assert min(took["silent"], took["quiet"]) > 2_000, took
    assert found["duration_ms"] < 0.75 * (took["silent"] + took["quiet"]), (found["duration_ms"], took)
    assert found["environments"]["good"]["summary"]["counts"]["skipped"] < 20


def test_the_screen(them: Installations, run: Run) -> None:
    lines = told(run, *envs("good", "broken", "wrong"), status=1).stdout.splitlines()
    assert lines[0] == "3 environments: 1 unhealthy, 1 not diagnosed, 1 degraded"
    assert [line.split()[1] for line in lines[1:4]] == ["good", "broken", "wrong"]
    assert [line.split()[1] for line in lines[-3:]] == ["good:", "broken:", "wrong:"]
    (gone,) = [line for line in lines if line.startswith("ERROR") and "AT202" in line]
    assert f"broken: queue {QUEUE} is missing" in gone
    summary = told(run, *envs("good", "broken"), "--summary", status=1).stdout.splitlines()
    assert len(summary) == 2
    assert "$ attune-ops --env broken topology apply --no-worker-queues --apply" in summary[1]


def test_the_other_formats(them: Installations, run: Run) -> None:
    where = envs("good", "broken", "wrong")

    def printed(format: str, status: int = 1) -> str:
        done = told(run, *where, "--format", format, status=status)
        assert SECRET not in done.stdout + done.stderr
        return done.stdout

    samples = samples_of(printed("prometheus"))
    assert samples["attune_ops_findings", "broken", "AT202", "error"] == 1
    assert ("attune_ops_findings", "good", "AT202", "error") not in samples
    assert samples["attune_ops_worker_ready", "good", "w1"] == 1
    assert [samples["attune_ops_queue_present", n, QUEUE] for n in ("good", "broken")] == [1, 0]
    assert [samples["attune_ops_environment_diagnosed", n] for n in ("good", "broken", "wrong")] == [1, 1, 0]
    line = printed("nagios", 2)
    assert line.startswith("DOCTOR CRITICAL - 3 environments: "), line
    assert "broken: errors is" in line
    assert "'good errors'=0" in line
    suites = {s.get("name"): s for s in ET.fromstring(printed("junit"))}
    assert suites["broken.topology"].get("failures") != "0"
    assert suites["good.topology"].get("failures") == "0"
    assert suites["wrong"].get("errors") == "1"
    assert "## broken" in (markdown := printed("markdown"))
    assert "| wrong | not diagnosed: " in markdown
    assert "AT202" in printed("html")
    rows = printed("csv").splitlines()
    assert rows[0].startswith("env,code,")
    assert any(r.startswith("broken,AT202,") for r in rows)


def test_a_baseline_of_several(them: Installations, run: Run) -> None:
    earlier = told(run, *envs("good", "broken"), "--json", status=1).stdout
    (run.folder / "earlier.json").write_text(earlier)
    asked(run, *envs("good", "broken"), "--baseline", "earlier.json", status=0)
    told(run, "--env", "broken", "--baseline", "earlier.json", status=0)
    them.written["same"] = them.written["broken"]
    them.keep(*them.written)
    found = asked(run, *envs("same", "broken"), "--baseline", "earlier.json", status=1)["environments"]
    assert [any(f["code"] == "AT202" for f in found[n]["findings"]) for n in ("same", "broken")] == [True, False]
    run("doctor", "--baseline", "earlier.json", env=them.broken.environment, status=2)


def test_variables_for_one_installation_are_left_out(them: Installations, run: Run) -> None:
    """A registry in the environment is not that of each environment."""
    without = {k: v for k, v in them.written["broken"].items() if k != "database_url"}
    them.written["without"] = without
    them.keep("good", "without")
    done = told(run, "--all-envs", "--json", env={"ATTUNE_OPS_DATABASE_URL": them.good.database})
    found = json.loads(done.stdout)["environments"]
    assert found["without"]["target"]["registry"] is None
    assert found["good"]["target"]["registry"]["workers"] == 2
    assert done.stderr.startswith("ATTUNE_OPS_DATABASE_URL: ignored")


def test_from_python(them: Installations) -> None:
    found = attune_ops.doctor_all(["good", "broken", "refused", "wrong"])
    assert [e.env for e in found.environments] == ["good", "broken", "refused", "wrong"]
    assert (found["good"].status, found["broken"].status) == ("degraded", "unhealthy")
    assert ("broken", "AT202") in {(env, f.code) for env, f in found.findings}
    assert not found.ok
    assert set(found.frame["env"]) == {"good", "broken", "refused"}
    assert SECRET not in repr(found) + found._repr_html_()
    with pytest.raises(KeyError):
        found["wrong"]
    with pytest.raises(ConfigError, match="no environment 'nobody'"):
        attune_ops.doctor_all(["nobody"])
