"""What matters and could not be read ends the doctor with status 3, never with 0; findings still give 1."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from tests.live.attack.test_unseen import cutting
from tests.live.doctor.broken import missing_worker_queue
from tests.live.places import Place
from tests.world import Run, Users

Doctor = Callable[..., dict[str, Any]]


@pytest.fixture
def doctor(run: Run) -> Doctor:
    """The JSON of `doctor` with these options and environment, once the exit status is as expected."""

    def report(*options: str | Path, status: int, **more: Any) -> dict[str, Any]:
        found: dict[str, Any] = msgspec.json.decode(
            run("doctor", *options, "--format", "json", status=status, **more).stdout
        )
        return found

    return report


def unread(report: dict[str, Any]) -> set[str]:
    return set(report["summary"]["unread"])


def test_consumers_of_others(place: Callable[..., Place], user: Users, doctor: Doctor) -> None:
    p = place().populate()
    env = {"ATTUNE_OPS_DATABASE_URL": p.database, "ATTUNE_OPS_TOPOLOGY": p.settings.topology.name}
    at = {"target": user(p.vhost, tags="management"), "env": env}
    report = doctor(status=3, **at)
    assert report["summary"]["status"] == "unknown"
    assert "has no monitoring tag and sees only its own consumers" in report["summary"]["verdict"]
    assert report["summary"]["counts"]["error"] == 0
    assert "AT417" in unread(report)
    doctor("--fail-on", "error-only", status=0, **at)
    doctor("--fail-on", "never", status=0, **at)
    assert not unread(doctor("--only", "AT202,AT204", status=0, **at))
    doctor(status=0, target=p.vhost, env=env)
    missing_worker_queue(p)
    assert unread(doctor(status=1, **at))
    doctor("--fail-on", "error-only", status=1, **at)


def test_a_list_that_is_cut_off(place: Callable[..., Place], doctor: Doctor) -> None:
    p = place().populate()
    account = p.vhost.management_url.removeprefix("http://").rpartition("@")[0]
    with cutting(p.vhost.broker.management_address, b"/api/bindings") as port:
        env = p.environment | {"ATTUNE_OPS_MANAGEMENT_URL": f"http://{account}@127.0.0.1:{port}"}
        report = doctor(status=3, target=p.vhost, env=env)
    required = {c.code for c in all_checks() if c.required and c.group == "topology"}
    assert "AT204" in unread(report) & required
    assert report["summary"]["status"] == "unknown"


def test_what_nobody_asked_for(place: Callable[..., Place], doctor: Doctor, tmp_path: Path) -> None:
    p = place().populate()
    named = {"ATTUNE_OPS_TOPOLOGY": p.settings.topology.name}
    report = doctor(status=0, target=p.vhost, env=named)
    assert not unread(report)
    assert any("no worker registry is configured" in (c["reason"] or "") for c in report["checks"])
    file = tmp_path / "definitions.json"
    file.write_text(p.vhost.api("GET", "definitions/{vhost}").text)
    assert not unread(doctor("--from", file, status=0))
