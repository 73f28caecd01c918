"""A limit of the virtual host that is reached: found before a worker starts, and named where one did not start."""

from __future__ import annotations

from collections.abc import Callable

from attune_ops.doctor.findings import Severity
from tests.live.places import SEPTEMBER, Place, found
from tests.live.printed import proves
from tests.world import Run, eventually


def limit(p: Place, name: str, value: int) -> None:
    p.vhost.api("PUT", f"vhost-limits/{{vhost}}/{name}", {"value": value})


def test_no_room_for_a_worker(place: Callable[..., Place], run: Run) -> None:
    """Before: a warning. After a worker registered and its declare was refused: the cause of its missing queues."""
    p = place(SEPTEMBER).populate()
    at_limit = {("AT119", p.vhost.name)}
    queues = len(p.vhost.api("GET", "queues/{vhost}").json())
    limit(p, "max-queues", queues + 5)  # four of a worker, and one of its replica
    assert not found(p.look(["AT119"]), Severity.WARNING)
    limit(p, "max-queues", queues + 4)
    report = p.look()
    assert found(report, Severity.WARNING) == at_limit
    assert not found(report, Severity.ERROR)
    proves("AT119 queues", p, report, run)

    limit(p, "max-queues", queues)
    p.start("worker", "w3", ok=False).disconnect()
    report = p.look()
    assert found(report, Severity.ERROR) == at_limit
    (finding,) = report.at_least(Severity.ERROR)
    assert finding.evidence == {"limit": "max-queues", "maximum": queues, "queues": queues, "needs": 5}
    assert {c.subject.name for c in finding.consequences if c.code == "AT401"} == {"worker.3.executions"}
    run("doctor", "--only", "AT119", "--fail-on", "warning", target=p.vhost, env=p.environment, status=1)
    p.vhost.api("DELETE", "vhost-limits/{vhost}/max-queues")
    assert not found(p.look(["AT119"]), Severity.WARNING)


def test_no_room_for_a_connection(place: Callable[..., Place], run: Run) -> None:
    """The doctor is refused, too: the reason is the limit, not a permission."""
    p = place().populate()
    eventually(lambda: len(p.vhost.api("GET", "vhosts/{vhost}/connections").json()) >= len(p.services))
    limit(p, "max-connections", 1)
    report = p.look()
    assert found(report, Severity.WARNING) == {("AT119", p.vhost.name)}
    (refused,) = (f for f in report.at_least(Severity.ERROR) if f.code == "AT101")
    assert "the connection limit of that virtual host (1) is reached" in refused.detail
    assert f"rabbitmqctl set_vhost_limits -p {p.vhost.name}" in refused.detail
    assert "permission" not in refused.detail + refused.remedy
    proves("AT119 connections list", p, report, run)
