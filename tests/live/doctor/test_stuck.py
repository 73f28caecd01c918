"""A worker that is stuck (SIGSTOP), and one that is as full and moves."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from attune_ops.doctor.findings import Severity
from attune_ops.startup.processes import start_service, stop_all
from attune_ops.startup.standins.job import Behaviour
from tests.live.doctor.broken import W1
from tests.live.places import Place, found
from tests.live.printed import proves
from tests.live.screen import healthy, shows
from tests.world import Run, eventually

SECOND = "the second sample in 7 s shows whether it is stuck"


@pytest.mark.slow
def test_stuck_and_busy(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    """Both look alike in one sample: the whole prefetch unacknowledged, messages ready."""
    p = place()
    slow = Behaviour(handler_s=0.4, concurrency=1, prefetch=3, amqp_heartbeat=0)
    services = [
        start_service(p.settings, service, name, tmp_path / f"{name}.log", behaviour)
        for service, name, behaviour in (
            ("executor", "executor", Behaviour(rate=100, count=250, direct=True, targets=(1,))),
            ("sensor", "sensor", Behaviour()),
            ("worker", "w1", slow),
        )
    ]
    try:
        for service in services:
            service.wait_for("ready", timeout=30)
        worker = ("health", "worker", "1")

        def full() -> bool:
            state = p.look(["AT505"], samples=1).facts.actual
            return W1 in state.consumers_of and (state.queue_named[W1].messages_unacknowledged or 0) >= 3

        eventually(full, within=25, every=1)
        busy = run("doctor", "--only", "AT505", target=p.vhost, env=p.environment, status=0)
        assert SECOND in busy.stderr
        assert run(*worker, target=p.vhost, env=p.environment, status=0).stdout.startswith("healthy")

        services[2].suspend()
        once = run("doctor", "--only", "AT505", "--samples", "1", target=p.vhost, env=p.environment, status=0)
        assert SECOND not in once.stderr

        def stuck() -> bool:
            return found(p.look(["AT505"]), Severity.WARNING) == {("AT505", W1)}

        eventually(stuck, within=40)
        said = run("doctor", target=p.vhost, env=p.environment, status=0)
        assert SECOND in said.stderr
        words = "is busy or stuck: it holds 3 unacknowledged messages (its prefetch limit) and acknowledged none in"
        client, fix = "attune worker w1 on 127.0.0.1", "Compare it with the executions"
        shows(p, run, "AT505", client, words, fix, severity="WARNING")
        proves("AT505 consumers", p, p.look(["AT505"]), run)
        probed = run(*worker, target=p.vhost, env=p.environment, status=0).stdout
        assert f"{W1}: busy or stuck, its consumer holds its whole prefetch" in probed
        p.judged(stuck_worker_s=1)
        assert found(p.look(["AT505"]), Severity.ERROR) == {("AT505", W1)}

        services[2].kill()  # as the finding says: that process is started again
        services.append(start_service(p.settings, "worker", "w1", tmp_path / "again.log"))
        healthy(p, run)
    finally:
        stop_all(services)
