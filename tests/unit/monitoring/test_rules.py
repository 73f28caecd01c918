"""The alert rules, by Debian's promtool: each fires for its broken state and clears after it; nothing else fires."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from attune_ops.doctor.diagnose import diagnose
from attune_ops.monitoring.grafana import PANELS
from attune_ops.monitoring.metrics import exposition, families
from attune_ops.monitoring.rules import rules
from tests.conftest import lacking
from tests.unit import facts as small

WORKER = 'worker="w1", id="1"'
LOST, LOSING = "attune_ops_dead_letters_lost", "attune_ops_queues_losing_dead_letters"
SUCCESS, BROKER_SUCCESS = "attune_ops_reading_success", "attune_ops_reading_broker_success"
INTERVAL = "attune_ops_reading_interval_seconds"
LIVE, CORDONED = "attune_ops_workers_live", "attune_ops_workers_cordoned"
STATE = 'attune_ops_worker_state{{{worker}, state="{state}"}}'
AGE = f"attune_ops_worker_heartbeat_age_seconds{{{WORKER}}}"


def state(name: str) -> str:
    return f'attune_ops_worker_state{{{WORKER}, state="{name}"}}'


# Each alert: its series, healthy for 20 minutes, broken for 40, then healthy again; a sample a minute.
BROKEN: dict[str, list[dict[str, str]]] = {
    "AttuneWorkerWithoutQueue": [{state("no queue"): "_x20 1x40 stale"}],
    "AttuneWorkerWithoutConsumer": [{state("no consumer"): "_x20 1x40 stale"}],
    "AttuneWorkerHeartbeatStale": [
        {state("stale"): "_x20 1x40 stale"},
        {state("crashed"): "_x20 1x40 stale", AGE: "10x20 100+60x20 10x60"},
    ],
    "AttuneAllWorkersCordoned": [{LIVE: "2x120", CORDONED: "1x20 2x40 1x60"}],
    "AttuneNoLiveWorker": [
        {LIVE: "3x20 0x40 3x60", CORDONED: "0x120", 'attune_ops_workers{state="crashed"}': "1x120",
         # The alert about a crash has ended: it was hours ago.
         state("crashed"): "1x120", AGE: "90000+60x120", 'attune_ops_workers{state="starting"}': "0x80 1x40"},
        {LIVE: "3x20 0x40 3x60", CORDONED: "0x120", 'attune_ops_workers{state="set inactive"}': "0x20 3x40 0x60"},
    ],
    "AttuneQueueMissing": [{'attune_ops_queue_present{queue="q"}': "1x20 0x40 1x60"}],
    "AttuneQueueWithoutConsumer": [
        {'attune_ops_queue_consumers{queue="q"}': "1x20 0x40 1x60",
         'attune_ops_queue_messages_ready{queue="q"}': "3x120"}
    ],
    "AttuneQueueGrowing": [
        {'attune_ops_queue_messages_ready{queue="q"}': "5x20 5+40x40 5x60"},
        {f"attune_ops_worker_messages_ready{{{WORKER}}}": "5x20 5+40x40 5x60"},
    ],
    "AttuneOrphanedQueueWithBacklog": [{"attune_ops_orphaned_queue_messages": "0x20 2x40 0x60"}],
    "AttuneDeadLettersLost": [{LOST: "0x20 4x100", LOSING: "5x60 0x60"}],
    "AttuneDeadLettersPilingUp": [{'attune_ops_dead_letter_queue_messages{queue="d"}': "0x20 2x40 0x60"}],
    "AttuneUnroutablePublishes": [
        {'attune_ops_unroutable_messages_total{outcome="dropped"}': "7x20 7+1x40 48x60"}
    ],
    "AttuneBrokerAlarm": [{"attune_ops_broker_alarms": "0x20 1x40 0x60"}],
    "AttuneReadingFailed": [
        {SUCCESS: "1x20 0x40 1x60"},  # of a serve that has only this metric
        {SUCCESS: "1x20 0x40 1x60", BROKER_SUCCESS: "1x20 0x40 1x60"},
        {"attune_ops_reading_age_seconds": "9x20 400x40 9x60"},
        {"attune_ops_reading_age_seconds": "590x20 1900x40 590x60", INTERVAL: "600x120"},
    ],
    "AttuneRegistryReadingFailed": [{SUCCESS: "1x20 0x40 1x60", BROKER_SUCCESS: "1x120"}],
    "AttuneExporterGone": [
        {'up{job="attune-ops", instance="gone"}': "1x20 0x40 1x60"},
        {'up{job="attune-ops"}': "1x20 stale _x40 1x60"},
    ],
    "AttuneOtherError": [{'attune_ops_findings{code="AT101", severity="error"}': "_x20 1x40 stale"}],
}  # fmt: skip
UP = 'up{job="attune-ops", instance="here"}'
COUNTED: dict[str, Any] = {
    "alarms": (),
    "dead_lettered": {"rejected": 2},
    "other_vhosts_used": False,
    "dropped_unroutable": 1,
}
BEFORE, DURING, AFTER = "15m", "45m", "110m"
NO_ALERT = {
    # What says the same of a state that a rule knows.
    **{f'attune_ops_findings{{code="{code}", severity="error"}}': "1x120" for code in ("AT401", "AT416")},
    # A queue that no service consumes.
    'attune_ops_queue_consumer_expected{queue="unread"}': "0x120",
    'attune_ops_queue_consumers{queue="unread"}': "0x120",
    'attune_ops_queue_messages_ready{queue="unread"}': "5+40x120",
    # One that a service consumes.
    'attune_ops_queue_consumer_expected{queue="q"}': "1x120",
}


@pytest.fixture
def promtool() -> str:
    return shutil.which("promtool") or lacking("no promtool (Debian: prometheus)")


def run(promtool: str, *words: str | Path, text: str | None = None) -> str:
    done = subprocess.run([promtool, *words], input=text, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def labelled(series: str) -> str:
    """The series with the labels that Prometheus adds to a scraped one."""
    if "job=" in series:
        return series
    name, _, labels = series.partition("{")
    return f'{name}{{job="attune-ops", instance="here"' + (f", {labels}" if labels else "}")


def question(at: str, query: str, count: int) -> dict[str, Any]:
    return {"expr": query, "eval_time": at, "exp_samples": [{"labels": "{}", "value": count}] if count else []}


def case(name: str, series: dict[str, str]) -> dict[str, Any]:
    """A test of promtool: before, during and after the broken state, of this alert and of all others."""
    alone = not any("up{" in s for s in series)
    series = {**series, **({UP: "1x120"} if alone else {}), **NO_ALERT}
    mine = f'count(ALERTS{{alertname="{name}", alertstate="firing"}})'
    others = f'count(ALERTS{{alertname!="{name}", alertstate="firing"}})'
    return {
        "name": name,
        "interval": "1m",
        "input_series": [{"series": labelled(s), "values": v} for s, v in series.items()],
        "promql_expr_test": [
            *(question(at, mine, n) for at, n in ((BEFORE, 0), (DURING, 1), (AFTER, 0))),
            *(question(at, others, 0) for at in (BEFORE, DURING, AFTER)),
        ],
    }


def written(folder: Path) -> Path:
    file = folder / "rules.yml"
    file.write_text(yaml.safe_dump({"groups": [{"name": "attune-ops", "rules": list(rules())}]}))
    return file


def test_every_alert_has_a_case() -> None:
    assert BROKEN.keys() == {r["alert"] for r in rules()}


def test_promtool_accepts_the_rules(promtool: str, tmp_path: Path) -> None:
    assert f"{len(rules())} rules found" in run(promtool, "check", "rules", written(tmp_path))


def test_each_alert_fires_and_clears_and_no_other(promtool: str, tmp_path: Path) -> None:
    cases = [case(name, series) for name, several in BROKEN.items() for series in several]
    file = tmp_path / "test.yml"
    made = {"rule_files": [str(written(tmp_path))], "evaluation_interval": "1m", "tests": cases}
    file.write_text(yaml.safe_dump(made))
    assert "SUCCESS" in run(promtool, "test", "rules", file)


def test_each_alert_has_what_an_operator_needs() -> None:
    pages = (Path(__file__).parents[3] / "docs" / "checks.md").read_text()
    anchors = {re.sub(r"[^a-z0-9-]", "", line[4:].lower().replace(" ", "-")) for line in pages.splitlines()
               if line.startswith("### ")}  # fmt: skip
    for rule in rules(runbook_url="https://docs.example/checks.md"):
        assert rule["labels"]["severity"] in ("critical", "warning")
        assert rule["for"]
        said = rule["annotations"]
        assert said["summary"]
        assert said["description"].endswith(".")
        address, _, anchor = said["runbook_url"].partition("#")
        assert address == "https://docs.example/checks.md"
        assert anchor in anchors or rule["alert"] in ("AttuneExporterGone", "AttuneOtherError")


def test_rules_and_dashboard_use_only_metrics_that_there_are() -> None:
    report = diagnose(small.facts(**COUNTED))
    named = {f.name + ("_total" if f.type == "counter" else "") for f in families(report)}
    own = {"reading_success", "reading_broker_success", "reading_duration_seconds", "reading_age_seconds",
           "reading_interval_seconds", "readings_total", "reading_failures_total"}  # fmt: skip
    named |= {f"attune_ops_{n}" for n in own}
    asked = " ".join([r["expr"] for r in rules()] + [q for p in PANELS for q, _ in p.queries])
    assert set(re.findall(r"attune_ops_\w+", asked)) <= named


def test_promtool_accepts_the_metrics(promtool: str) -> None:
    made = exposition(families(diagnose(small.facts(**COUNTED)))).decode()
    assert run(promtool, "check", "metrics", text=made) == ""


def test_only_a_queue_that_a_service_consumes_is_expected_to_have_a_consumer() -> None:
    (metric,) = (f for f in families(diagnose(small.facts())) if f.name == "attune_ops_queue_consumer_expected")
    assert {s.labels["queue"]: s.value for s in metric.samples} == {
        "attune.executions.queue": 1, "attune.events.queue": 0, "attune.notifications.queue": 0
    }  # fmt: skip
