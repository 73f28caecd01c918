"""The own queues of replicas: the broker names them, and only the start of a replica binds them."""

from __future__ import annotations

from collections.abc import Callable

from attune_ops.doctor.findings import Severity
from tests.live.places import Place
from tests.live.printed import fix
from tests.live.screen import healthy
from tests.world import Run, eventually


def test_what_only_a_restart_binds_again(place: Callable[..., Place], run: Run) -> None:
    """An exchange takes its bindings with it; the printed command declares it, and the doctor goes on."""
    p = place("attune-0.6").populate()

    def consumed() -> bool:  # consumers are listed some seconds after they came
        consumers_of = p.look(["AT204"]).facts.actual.consumers_of
        return sum(queue.startswith("amq.gen") for queue in consumers_of) == len(p.services)

    eventually(consumed, within=30, every=1)
    p.vhost.api("DELETE", "exchanges/{vhost}/attune.metadata")
    (missing,) = (f for f in p.look().findings if f.severity is Severity.ERROR)
    assert missing.remedy.endswith(
        "Then restart each replica of the api, executor, worker: only its start binds its own queue again."
    )
    fix(p, p.look(["AT201"]), run, ("AT201",))
    unbound = eventually(lambda: [f for f in p.look().findings if f.severity is Severity.ERROR], within=30, every=1)
    assert {f.code for f in unbound} == {"AT204"}
    assert sorted(f.evidence["service"] for f in unbound) == ["api", "executor", "worker", "worker"]

    restarted = (("executor", "executor"), ("api", "api"), ("worker", "w1"), ("worker", "w2"))  # as the remedy says
    for service, name in restarted:
        p.services[name].disconnect()
        p.start(service, None if name == service else name)
    healthy(p, run)
