"""`attune-ops doctor` as a process, where no broker is needed: files, explanations, wrong input."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.model.facts import encode
from tests.unit.doctor.checks.world import W1, healthy, without_queues
from tests.world import Run

CHECKS = Path(__file__).parents[2] / "attune_ops" / "doctor" / "checks"


@pytest.fixture
def snapshot(tmp_path: Path) -> Path:
    """A snapshot of an installation whose first worker has no queue."""
    file = tmp_path / "snapshot.json"
    file.write_bytes(encode(without_queues(healthy(), W1)))
    return file


def test_a_snapshot_needs_no_installation(run: Run, snapshot: Path) -> None:
    report = json.loads(run("doctor", "--from", snapshot, "--format", "json", status=1).stdout)
    assert [f["code"] for f in report["findings"] if f["severity"] == "error"] == ["AT401"]
    text = run("doctor", "--from", snapshot, "--only", "design", status=0).stdout
    assert text.splitlines()[-1] == f"! degraded: 5 known weaknesses; 7 passed; 12 of {len(all_checks())} checks chosen"


@pytest.mark.parametrize("columns", ["", "80"])
def test_the_summary_is_one_line(run: Run, snapshot: Path, columns: str) -> None:
    summary = run("doctor", "--from", snapshot, "--summary", env={"COLUMNS": columns}, status=1).stdout
    assert summary.count("\n") == 1
    assert f"; {W1} is missing: work for worker 1 (w1) is lost; see $ attune-ops " in summary


def test_of_an_unknown_release_no_weakness_is_known(run: Run) -> None:
    """No broker tells which release it is, so nothing that only holds for the default one is said of it."""
    where = ("--amqp-url", "amqp://u:p@127.0.0.1:1/", "--management-url", "http://u:p@127.0.0.1:1")
    text = run(*where, "doctor", status=3).stdout
    assert "unknown topology in virtual host /" in text
    assert "weakness" not in text
    assert "0 passed" in text
    text = run(*where, "doctor", "--only", "design", status=3).stdout
    assert "0 passed, 12 skipped (management API http://u:***@127.0.0.1:1" in text
    text = run(*where, "--topology", "attune-2026-01", "doctor", status=3).stdout
    assert "5 known weaknesses; 7 passed" in text


@pytest.mark.parametrize("format", ["table", "json", "csv", "markdown", "html", "junit"])
def test_every_format(run: Run, snapshot: Path, format: str) -> None:
    done = run("doctor", "--from", snapshot, "--format", format, status=1)
    assert W1 in done.stdout
    assert done.stderr == ""


def test_a_baseline_and_the_threshold(run: Run, snapshot: Path, tmp_path: Path) -> None:
    baseline = tmp_path / "baseline.json"
    baseline.write_text(run("doctor", "--from", snapshot, "--format", "json", status=1).stdout)
    run("doctor", "--from", snapshot, "--baseline", baseline, "--fail-on", "info", status=0)
    run("doctor", "--from", snapshot, "--fail-on", "never", status=0)
    run("doctor", "--from", snapshot, "--skip", "workers,routes", "--fail-on", "warning", status=1)


def test_settings_change_severities_and_thresholds(run: Run, snapshot: Path) -> None:
    config = run.folder / "attune-ops.toml"
    config.write_text('[severities]\nAT401 = "warning"\nAT402 = "off"\nAT301 = "info"\n[thresholds]\nlatency_ms = 1\n')
    report = json.loads(run("doctor", "--from", snapshot, "--format", "json", status=0).stdout)
    severities = {f["code"]: f["severity"] for f in report["findings"]}
    assert severities["AT401"] == severities["AT104"] == "warning"
    assert "AT402" not in {c["code"] for c in report["checks"]}
    config.write_text("[thresholds]\nlatency = 1\n")
    assert "no threshold 'latency'" in run("doctor", "--from", snapshot, status=2).stderr


def test_explanations(run: Run) -> None:
    text = run("doctor", "--explain", "AT401", status=0).stdout
    assert text.startswith("AT401 worker-queues: every live worker has its queues\n\nA registered worker")
    assert run("doctor", "--explain", "worker-queues", status=0).stdout == text
    pages = json.loads(run("doctor", "--explain", "all", "--format", "json", status=0).stdout)
    assert len(pages["checks"]) == len(all_checks())


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["--only", "wrokers"], "no check or group 'wrokers'; did you mean workers"),
        (["--explain", "AT999"], "no check or group 'AT999'"),
        (["--baseline", "nowhere.json"], "baseline 'nowhere.json': not a report of doctor --format json: No such file"),
        (["--baseline", "SNAPSHOT"], "not a report of doctor --format json"),
        (["--wait", "soon"], "'soon' is not a duration"),
        (["--fail-on", "fatal"], "'fatal' is not one of 'error', 'warning', 'info', 'error-only', 'never'"),
        (["--target-version", "next"], "invalid target version 'next': expected a version like 4.3"),
        (["--samples", "3"], "3 is not in the range"),
        (["--summary", "--format", "json"], "--summary is for --format table"),
        (["--all", "--format", "html"], "--all is for --format table"),
        (["--from", "nowhere.json"], "cannot read nowhere.json: No such file"),
    ],
)
def test_wrong_input_ends_in_one_line(run: Run, snapshot: Path, arguments: list[str], says: str) -> None:
    words = [str(snapshot) if a == "SNAPSHOT" else a for a in arguments]
    given = words if "--from" in words else ["--from", str(snapshot), *words]
    done = run("doctor", *given, status=2)
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert done.stdout == ""


def test_the_heading_names_the_file_and_its_time(run: Run, snapshot: Path) -> None:
    _, head, *_ = run("doctor", "--from", snapshot, "--fail-on", "never", status=0).stdout.splitlines()
    assert head.endswith(f", not live: file {snapshot} of {healthy().taken_at:%Y-%m-%d %H:%M:%S}Z")


def test_one_of_several_virtual_hosts_of_a_file(run: Run, tmp_path: Path) -> None:
    file = tmp_path / "definitions.json"
    queues = [{"name": f"of {name}", "vhost": name, "durable": True} for name in ("a", "b")]
    vhosts = [{"name": "a"}, {"name": "b"}]
    file.write_text(json.dumps({"vhosts": vhosts, "queues": queues, "exchanges": [], "bindings": []}))
    for name in ("a", "b"):
        done = run("doctor", "--from", file, "--vhost", name, "--fail-on", "never", status=0)
        assert f" in virtual host {name}, " in done.stdout.splitlines()[1]
    assert "no virtual host 'c'; it has 'a', 'b'" in run("doctor", "--from", file, "--vhost", "c", status=2).stderr
    assert "--vhost is for --from" in run("doctor", "--vhost", "a", status=2).stderr


@pytest.mark.parametrize(
    ("version", "note"),
    [
        ("4.9", "nothing is known about RabbitMQ after 4.3: 4.9 is checked as 4.3"),
        ("2.0", "RabbitMQ 2.0 is older than this broker"),
        ("4.3", "RabbitMQ 4.3 is the version of this broker (4.3.6)"),
    ],
)
def test_an_odd_target_version_is_remarked_on(run: Run, snapshot: Path, version: str, note: str) -> None:
    asked = ("doctor", "--from", snapshot, "--only", "upgrade", "--target-version", version, "--fail-on", "never")
    text = run(*asked, status=0).stdout
    notes = json.loads(run(*asked, "--format", "json", status=0).stdout)["summary"]["notes"]
    assert note in notes[0]
    assert f"\nnote        {notes[0]}\n" in text


@pytest.mark.parametrize(
    ("code", "exchange", "queue", "key"),
    [
        ("AT207", "attune.events", "attune.executions.queue", "rule.{}"),
        ("AT208", "attune.executions", "attune.events.queue", "rule.{}.#"),
    ],
)
def test_very_many_bindings_are_one_finding_of_bounded_size(
    run: Run, tmp_path: Path, code: str, exchange: str, queue: str, key: str
) -> None:
    file, many = tmp_path / "definitions.json", 50_000
    actual = healthy().actual
    ends = {"source": exchange, "destination": queue, "destination_type": "queue", "vhost": "/", "arguments": {}}
    content = {
        "vhosts": [{"name": "/"}],
        "queues": [
            {"name": q.name, "vhost": "/", "durable": q.durable, "auto_delete": q.auto_delete, "arguments": q.arguments}
            for q in actual.queues or ()
        ],
        "exchanges": [
            {"name": e.name, "vhost": "/", "type": e.type, "durable": True, "auto_delete": False, "internal": False,
             "arguments": e.arguments}
            for e in actual.exchanges or () if e.name.startswith("attune.")
        ],
        "bindings": [ends | {"routing_key": key.format(i)} for i in range(many)],
    }  # fmt: skip
    file.write_text(json.dumps(content))
    out = run("doctor", "--from", file, "--only", code, "--format", "json", "--fail-on", "never", status=0).stdout
    assert len(out) < 20_000
    (finding,) = json.loads(out)["findings"]
    assert (finding["code"], finding["subject"]["kind"]) == (code, "binding")
    assert f"{queue} has {many} bindings to {exchange}" in finding["detail"]
    evidence = finding["evidence"]
    assert (evidence["count"], evidence["source"], evidence["destination"]) == (many, exchange, queue)
    assert [b["routing_key"] for b in evidence["first"]] == [key.format(i) for i in range(20)]
    assert finding["commands"] == []
