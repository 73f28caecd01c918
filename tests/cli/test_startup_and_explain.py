"""`attune-ops startup` and `attune-ops explain` as a person or a script runs them."""

from __future__ import annotations

import csv
import io
import json
import signal
import socket
import sqlite3
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest

from tests.world import Run, Users, Vhost, eventually

STEPS = ["connect", "setup", "register", "declare", "bind", "consume", "ready"]
NO_QUEUE = "NOT_FOUND - no queue 'worker.1.executions' in vhost '{}'"


@pytest.fixture
def env(tmp_path: Path) -> dict[str, str]:
    """A registry of the test's own, and the release: a virtual host is empty at first."""
    return {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{tmp_path}/registry.sqlite", "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}


def status_of(tmp_path: Path) -> list[str]:
    with sqlite3.connect(tmp_path / "registry.sqlite") as connection:
        return [str(row[0]) for row in connection.execute("SELECT status FROM worker").fetchall()]


def test_a_worker_from_connect_to_ready(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    done = run("startup", "--worker", "w1", target=vhost, env=env, status=0)
    lines = done.stdout.splitlines()
    assert [line.split()[1] for line in lines[:7]] == STEPS
    assert all(line.startswith(" ✓ ") and " ms " in line for line in lines[:7])
    assert lines[7].startswith("worker 1 'w1' is ready after ")
    assert any("queue worker.1.executions auto-deleted" in line for line in lines[8:])
    assert "worker 1 'w1': its new row is deleted" in done.stdout
    assert done.stderr == ""


@pytest.mark.parametrize("tags", ["monitoring", ""])
@pytest.mark.parametrize("more", [[], ["--hold"]])
def test_no_release_is_guessed(
    run: Run, vhost: Vhost, user: Users, env: dict[str, str], tags: str, more: list[str]
) -> None:
    """By January's topology, the default, it would leave exchanges with which later releases cannot start."""
    somebody = user(vhost, tags=tags)
    done = run("startup", "--worker", "w1", *more, target=somebody, env=env | {"ATTUNE_OPS_TOPOLOGY": ""}, status=2)
    assert "nothing was changed: attune-2026-01 is only the default" in done.stderr
    assert vhost.names("queues") == set()
    run("startup", "--worker", "w1", target=somebody, env=env | {"ATTUNE_OPS_TOPOLOGY": "attune-0.6"}, status=0)
    if tags:  # what is there tells the release; without a tag, exchanges and one queue are too little
        done = run("startup", "--worker", "w1", target=somebody, env=env | {"ATTUNE_OPS_TOPOLOGY": ""}, status=0)
        assert "5 exchanges" in done.stdout


def test_the_incident_is_explained_and_the_skipped_step_named(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    done = run("startup", "--worker", "w1", "--skip", "declare", "--skip", "bind", target=vhost, env=env, status=1)
    assert " ✗ consume" in done.stdout
    assert f"404 {NO_QUEUE.format(vhost.name)}" in done.stdout
    assert "It is the queue of worker 1: the declare step was skipped." in done.stdout
    assert "start-up of worker 1 'w1' failed after " in done.stdout


@pytest.mark.parametrize(("options", "status"), [([], 0), (["--skip", "declare"], 1)])
def test_its_json_is_one_document_of_the_settled_form(
    run: Run, vhost: Vhost, env: dict[str, str], options: list[str], status: int
) -> None:
    done = run("startup", "--worker", "w1", "--format", "json", *options, target=vhost, env=env, status=status)
    report = json.loads(done.stdout)
    assert report["schema"] == "attune-ops/startup/1"
    assert (report["service"], report["worker"], report["ok"]) == ("worker", {"id": 1, "name": "w1"}, status == 0)
    assert [s["step"] for s in report["steps"]] == STEPS
    assert {s["status"] for s in report["steps"]} <= {"ok", "failed", "skipped"}
    failed = [s for s in report["steps"] if s["status"] == "failed"]
    assert len(failed) == status
    for step in failed:
        assert step["error"].keys() >= {"code", "text", "explanation"}
        assert step["error"]["code"] == 404


def test_the_other_formats(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    text = run("startup", "--worker", "w1", "--format", "csv", target=vhost, env=env, status=0).stdout
    rows = list(csv.DictReader(io.StringIO(text)))
    assert [(r["step"], r["status"]) for r in rows] == [(step, "ok") for step in STEPS]
    text = run("startup", "--service", "sensor", "--format", "markdown", target=vhost, env=env, status=0).stdout
    assert text.startswith("| step | status |")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_hold_stays_up_until_it_is_interrupted_and_then_stops_cleanly(
    run: Run, vhost: Vhost, env: dict[str, str], tmp_path: Path, number: int
) -> None:
    with run.start(
        "startup", "--worker", "w1", "--hold", "--apply", "--format", "json", target=vhost, env=env
    ) as process:
        eventually(lambda: "worker.1.executions" in vhost.names("queues"))
        eventually(lambda: (tmp_path / "registry.sqlite").exists() and status_of(tmp_path) == ["active"])
        eventually(lambda: vhost.api("GET", "consumers/{vhost}").json(), within=30)
        process.send_signal(number)
        out, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    assert "Traceback" not in said
    assert json.loads(out)["ok"] is True
    assert "worker.1.executions" not in vhost.names("queues")
    assert status_of(tmp_path) == []


def test_a_held_service_that_loses_its_connection_says_so(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    def connections() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = vhost.api("GET", "vhosts/{vhost}/connections").json()
        return [c for c in found if c.get("client_properties", {}).get("connection_name") == "attune worker w1"]

    with run.start("startup", "--worker", "w1", "--hold", "--apply", target=vhost, env=env) as process:
        assert process.stderr is not None
        assert "running until Ctrl-C" in process.stderr.readline()
        for connection in eventually(connections):
            vhost.api("DELETE", f"connections/{quote(connection['name'], safe='')}")
        out, said = process.communicate(timeout=60)
    assert process.returncode == 1
    assert "320 CONNECTION_FORCED" in said
    assert "worker 1 'w1': its new row is deleted" in out


def test_what_cannot_be_reached_is_exit_status_3(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    done = run("startup", "--amqp-url", "amqp://u:hush@127.0.0.1:1/", env=env, status=3)
    assert "connection refused" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    down = {"ATTUNE_OPS_DATABASE_URL": "postgresql://u:hush@127.0.0.1:1/attune"}
    done = run("startup", target=vhost, env=env | down, status=3)
    assert " ✗ register" in done.stdout
    assert "hush" not in done.stdout + done.stderr
    assert not any(q.startswith("worker.") for q in vhost.names("queues"))


def test_a_right_that_is_missing_is_exit_status_1(run: Run, vhost: Vhost, user: Users, env: dict[str, str]) -> None:
    limited = user(vhost, configure="^$")
    done = run("startup", target=limited, env=env, status=1)
    assert " ✗ setup" in done.stdout
    assert "403 ACCESS_REFUSED" in done.stdout


@pytest.mark.parametrize("options", [["--skip", "declair"], ["--service", "scheduler"], ["--worker"], ["w1"]])
def test_a_wrong_command_line_is_exit_status_2(run: Run, vhost: Vhost, options: list[str]) -> None:
    done = run("startup", *options, target=vhost, status=2)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1


def test_explain_looks_at_the_installation(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    text = NO_QUEUE.format(vhost.name)
    with run.start("startup", "--worker", "w1", "--skip", "declare", "--skip", "bind", "--skip", "consume", "--hold",
                   "--apply",
                   target=vhost, env=env):  # fmt: skip
        eventually(lambda: "active" in run("workers", "--format", "csv", target=vhost, env=env).stdout)
        done = run("explain", text, target=vhost, env=env, status=0)
    assert "404 NOT_FOUND" in done.stdout
    assert "Worker 1 'w1' is registered; its declare step did not run, or was undone later" in done.stdout
    assert "checked against amqp://" in done.stdout


def test_explain_reads_files_and_stdin(run: Run, tmp_path: Path) -> None:
    log = tmp_path / "broker.log"
    log.write_text("all is well\n" + "missed heartbeats from client, timeout: 60s\n" * 3)
    from_file = run("explain", log, "--format", "json", "--offline", status=0).stdout
    found = json.loads(from_file)
    assert found["schema"] == "attune-ops/explain/1"
    assert [(e["name"], e["count"], e["line"]) for e in found["errors"]] == [("HEARTBEAT_LOST", 3, 2)]
    assert run("explain", "-", "--format", "json", "--offline", stdin=log.read_text(), status=0).stdout == from_file
    rows = list(csv.DictReader(io.StringIO(run("explain", log, "--format", "csv", "--offline", status=0).stdout)))
    assert [(r["name"], r["count"]) for r in rows] == [("HEARTBEAT_LOST", "3")]


def test_explain_without_an_installation_explains_and_says_so(run: Run) -> None:
    done = run("explain", "541", status=0)
    assert "541 INTERNAL_ERROR" in done.stdout
    assert "not checked against an installation" in done.stdout
    done = run("explain", NO_QUEUE.format("/"), "--amqp-url", "amqp://u:hush@127.0.0.1:1/", status=0)
    assert "not checked against the broker" in done.stdout
    assert "hush" not in done.stdout + done.stderr


def test_explain_finds_nothing(run: Run, tmp_path: Path) -> None:
    assert "no known error" in run("explain", "all is well", status=1).stderr
    assert "neither" in run("explain", str(tmp_path / "missing.log"), status=2).stderr
    (tmp_path / "bytes").write_bytes(bytes(range(256)) * 100)
    run("explain", tmp_path / "bytes", status=1)


def test_a_protected_environment_wants_its_name_typed(run: Run, vhost: Vhost, env: dict[str, str]) -> None:
    (run.folder / "attune-ops.toml").write_text(
        f"[env.prod]\namqp_url = {vhost.amqp_url!r}\nmanagement_url = {vhost.management_url!r}\nprotected = true\n"
    )
    done = run("startup", "--env", "prod", env=env, status=2)
    assert "--confirm NAME" in done.stderr
    assert vhost.names("queues") == set()
    run("startup", "--env", "prod", "--confirm", "prod", env=env, status=0)


def test_ctrl_c_while_a_broker_does_not_answer(run: Run, env: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"amqp://u:hush@127.0.0.1:{silent.getsockname()[1]}/"
        with run.start("startup", "--worker", "w1", "--amqp-url", url, env=env) as process, silent.accept()[0]:
            process.send_signal(signal.SIGINT)
            out, said = process.communicate(timeout=60)
    assert process.returncode == 130, out + said
    assert "Traceback" not in said
    assert "hush" not in out + said
