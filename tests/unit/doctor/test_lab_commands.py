"""What is added to findings of a lab: decided by the evidence, not by the words of the text."""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta
from pathlib import Path

import msgspec
import pytest

from attune_ops.doctor.diagnose import diagnose
from attune_ops.doctor.lab_commands import on_lab
from attune_ops.installation.config import running_lab
from tests.unit.facts import NOW, broker, facts, worker

HINT = "On a lab no command starts one stand-in again"


@pytest.fixture
def lab(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A lab whose node is this process."""
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    place = running_lab.lab_folder("here")
    place.mkdir(parents=True)
    started = running_lab.start_time(os.getpid())
    assert started is not None
    node = running_lab.LabNode("n", str(place), 1, 2, 3, 4, running_lab.Process(os.getpid(), started))
    state = running_lab.RunningLab("here", str(place), "s", "u", (node,), 5, datetime.now(UTC), ready=True)
    (place / running_lab.STATE_FILE).write_bytes(msgspec.json.encode(state))
    return "here"


@pytest.mark.parametrize(("old", "hinted"), [(60, True), (5, False)])
@pytest.mark.parametrize("dead", [(2,), (2, 3, 4)])
def test_the_hint_is_given_where_the_process_is_gone(lab: str, old: int, hinted: bool, dead: tuple[int, ...]) -> None:
    """With a young heartbeat "no connection is listed yet": that process may run."""
    workers = tuple(worker(i, last_heartbeat=NOW - timedelta(seconds=old)) for i in range(1, 6))
    there = tuple(w.id for w in workers if w.id not in dead)
    made = facts(workers)
    made = msgspec.structs.replace(made, broker=broker(made.topology, there))
    (finding,) = (f for f in on_lab(diagnose(made), lab).findings if f.code == "AT401")
    assert len(finding.others) + 1 in (1, len(dead))
    assert (HINT in finding.remedy) is hinted


@pytest.mark.parametrize("role", ["action", "sensor"])
@pytest.mark.parametrize("dead", [(2,), (2, 3, 4)])
def test_the_hint_follows_a_whole_sentence(lab: str, role: str, dead: tuple[int, ...]) -> None:
    made = facts(tuple(worker(i, role=role, last_heartbeat=NOW - timedelta(hours=1)) for i in dead))
    made = msgspec.structs.replace(made, broker=broker(made.topology, ()))
    remedies = [f.remedy for f in on_lab(diagnose(made), lab).findings if f.code == "AT409"]
    assert remedies
    for remedy in remedies:
        assert f". {HINT}" in remedy
