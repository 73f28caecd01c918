"""What people type by habit: -o, --json, --color, -v, help, version, and Tab; on a real broker."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.test_completion import completed
from tests.live.places import Place
from tests.world import Broker, Run

REQUEST = re.compile(r" *\d+\.\d ms  (\S+) +(\S.*)")


@pytest.fixture(scope="module")
def here(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with broker.vhost() as vhost:
        made = Place(vhost, tmp_path_factory.mktemp("place"))
        yield made.populate()
        made.close()


def test_json_has_three_spellings_and_contradicts_no_other(here: Place, run: Run) -> None:
    for spelling in (["--format", "json"], ["-o", "json"], ["--json"], ["--json", "-o", "json"]):
        shown = json.loads(run("exchanges", *spelling, env=here.environment, status=0).stdout)
        assert shown["schema"] == "attune-ops/table/1"
    done = run("exchanges", "--json", "-o", "csv", env=here.environment, status=2)
    assert done.stdout == ""
    assert "--json and --format csv" in done.stderr


def test_color(here: Place, run: Run) -> None:
    here.publish("attune.notifications", "", 3)
    for arguments, env, coloured in (
        (["--color", "always"], {}, True),
        (["--color", "always"], {"NO_COLOR": "1"}, True),
        (["--color", "auto"], {}, False),
        (["--color", "never"], {"FORCE_COLOR": "1"}, False),
        ([], {"FORCE_COLOR": "1", "NO_COLOR": "1"}, False),
    ):
        done = run("doctor", *arguments, env={**here.environment, **env})
        assert ("\x1b[3" in done.stdout) is coloured, (arguments, env)
    run("queues", "--color", "often", env=here.environment, status=2)


def test_verbose_prints_each_request_on_stderr(here: Place, run: Run) -> None:
    quiet = run("doctor", "--json", env=here.environment)
    assert REQUEST.findall(quiet.stderr) == []
    done = run("doctor", "--json", "-v", env=here.environment)
    assert json.loads(done.stdout)["schema"] == "attune-ops/doctor/1"
    requests = REQUEST.findall(done.stderr)
    assert ("200", "GET /api/overview") in requests
    assert ("ok", "AMQP connection.open") in requests
    assert [outcome for outcome, what in requests if what.startswith("SELECT ") and what.endswith("worker")]
    assert here.vhost.password not in done.stderr or here.vhost.password == here.vhost.user
    sent = REQUEST.findall(run("messages", "peek", "attune.executions.queue", "-v", env=here.environment).stderr)
    assert [what for _, what in sent if what == "AMQP queue.declare attune.executions.queue"], sent


def test_verbose_prints_a_request_without_an_answer(run: Run) -> None:
    env = {"ATTUNE_OPS_AMQP_URL": "amqp://u:s3cret-word@127.0.0.1:9/"}
    done = run("queues", "-v", env=env, status=3)
    assert re.search(r"ms  \w*Connection\w* +GET /api/", done.stderr)
    assert "s3cret-word" not in done.stderr
    assert "Traceback" not in done.stderr
    assert "Traceback" in run("queues", "-vv", env=env, status=3).stderr


def test_columns_by_their_names_in_json(here: Place, run: Run) -> None:
    rows = json.loads(run("workers", "--json", env=here.environment, status=0).stdout)["rows"]
    name = next(key for key in rows[0] if key.endswith("_ms"))
    chosen = run("workers", "--columns", f"name,{name}", "--sort", f"-{name}", "--json", env=here.environment, status=0)
    assert set(json.loads(chosen.stdout)["rows"][0]) == {"name", name}


def test_tab_completes_the_names_of_the_last_reading_without_a_network(here: Place, run: Run, tmp_path: Path) -> None:
    env = here.environment
    typed = ["attune-ops", "messages", "peek", "attune.exec"]
    state = {"XDG_STATE_HOME": str(tmp_path / "state")}
    assert completed(run, *typed, **env, **state) == []
    run("doctor", "-q", env={**env, **state})
    files = list((tmp_path / "state").rglob("names/*.json"))
    assert [f.stat().st_mode & 0o777 for f in files] == [0o600]
    before = files[0].read_bytes()
    here.vhost.broker.api("PUT", f"queues/{here.vhost.quoted}/attune.exec-new", {})
    offered = completed(run, *typed, **env, **state)
    assert "attune.executions.queue" in offered
    assert "attune.exec-new" not in offered, "a broker was asked"
    assert "attune.executions" in completed(run, "attune-ops", "route", "attune.ex", **env, **state)
    assert completed(run, "attune-ops", "workers", "w", **env, **state)
    assert files[0].read_bytes() == before
    assert completed(run, "attune-ops", "help", "topology", "dif", **state) == ["diff"]
