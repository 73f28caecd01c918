"""A stand-in's job: it crosses a pipe whole, passwords included, and shows none."""

from __future__ import annotations

from pathlib import Path

from attune_ops.installation.config import resolve
from attune_ops.model.waiting import wait_until
from attune_ops.startup.processes import start_service
from attune_ops.startup.standins.job import Behaviour, Job

TARGET = {"amqp_url": "amqp://u:hu%2Fsh@host/v", "database_url": "postgresql://u:quiet@db/attune"}


def test_a_job_is_the_same_behind_the_pipe() -> None:
    job = Job("worker", "w1", "/log", Behaviour(rate=2.0, only=(1,)), resolve(TARGET, {}))
    line = job.encode()
    assert b"\n" not in line
    assert Job.decode(line) == job
    assert Job.decode(line).settings.amqp.password.reveal() == "hu/sh"
    assert "hu/sh" not in repr(job) + str(job)
    assert "quiet" not in repr(job)


def test_a_detached_stand_in_does_not_outlive_its_log(tmp_path: Path) -> None:
    """`lab down` deletes it; the broker that the stand-in connects to again is gone."""
    settings = resolve({"amqp_url": "amqp://u:p@127.0.0.1:1/v"}, {})
    log = tmp_path / "w1.jsonl"
    with start_service(settings, "executor", "executor", log, Behaviour(reconnect=True, detached=True)) as started:
        started.wait_for("reconnecting")
        log.unlink()
        assert wait_until(lambda: started.status, lambda status: status is not None, timeout=20, interval=0.05) == 1
