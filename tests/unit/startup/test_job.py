"""A stand-in's job: it crosses a pipe whole, passwords included, and shows none."""

from __future__ import annotations

from attune_ops.installation.config import resolve
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
