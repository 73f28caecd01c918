"""What `topology apply` declares, says of it, and how that is undone; the broker is in tests/live/topology."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.snapshot import PolicyState
from attune_ops.topology.apply import _lost, _other_registry, _so_far, _unknown_permissions, _with_refusals, undo
from attune_ops.topology.diff import diff
from attune_ops.topology.drift import ApplyResult, BrokerError, Declaration, Fix, TopologyDiff
from attune_ops.topology.view_apply_result import lines
from tests.unit.facts import facts, worker

EXECUTIONS = "attune.executions.queue"


def lacking(*names: str) -> Facts:
    """January's installation without these queues and their bindings."""
    made = facts()
    broker = made.actual
    queues = tuple(q for q in broker.queues or () if q.name not in names)
    bindings = tuple(b for b in broker.bindings or () if b.destination not in names)
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(broker, queues=queues, bindings=bindings))


def unbound(name: str) -> Facts:
    made = facts()
    bindings = tuple(b for b in made.actual.bindings or () if b.destination != name)
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(made.actual, bindings=bindings))


def declared(before: TopologyDiff) -> tuple[Declaration, ...]:
    return tuple(Declaration(d.subject, d.name, "declared") for d in before.differences if d.fix is Fix.DECLARE)


def test_a_binding_between_objects_that_existed_has_its_own_undo() -> None:
    before = diff(unbound(EXECUTIONS))
    assert undo(ApplyResult(before, declared(before), before)) == (
        "undo: attune-ops topology unbind --arguments '{}' --apply -- attune.executions attune.executions.queue "
        "execution",
    )
    before = diff(lacking(EXECUTIONS))
    (note,) = undo(ApplyResult(before, declared(before), before))
    assert note.startswith("to undo, delete the queues and exchanges declared above while they are unused and empty")
    assert undo(ApplyResult(before, ())) == ()


def test_what_a_policy_overrides_is_declared_all_the_same() -> None:
    september = facts(topology="attune-2026-09")
    policy = PolicyState("/", "short", "^worker", "queues", 0, {"message-ttl": 1000})
    after = diff(
        msgspec.structs.replace(september, broker=msgspec.structs.replace(september.actual, policies=(policy,)))
    )
    made = Declaration("queue", "worker.1.executions", "declared")
    assert [d.name for d in after.drift][:1] == [made.name]
    assert _lost([made], after) == []
    assert _lost([Declaration("queue", EXECUTIONS, "declared")], diff(lacking(EXECUTIONS)))


def test_what_was_refused_is_not_said_to_be_declarable() -> None:
    answer = BrokerError(403, "ACCESS_REFUSED")
    found = _with_refusals([Declaration("queue", EXECUTIONS, "refused", answer)], diff(lacking(EXECUTIONS)))
    assert [(d.name, d.fix, d.declaring) for d in found.drift if d.subject == "queue"] == [
        (EXECUTIONS, Fix.REFUSED, answer)
    ]
    assert found.drift[-1].fix is Fix.DECLARE, "its binding was not tried"


def test_unknown_permissions_are_said() -> None:
    urls = {"amqp_url": "amqp://u:p@localhost/", "management_url": "http://localhost"}
    with_reach = msgspec.structs.replace(facts(), reach=(Reach(Source.MANAGEMENT, permissions=(".*", ".*", ".*")),))
    assert _unknown_permissions(with_reach, resolve(urls, {})) is None
    assert _unknown_permissions(facts(), resolve(urls, {})) == "permissions was not read"
    other = _unknown_permissions(with_reach, resolve({**urls, "management_url": "http://m:p@localhost"}, {}))
    assert other == "the permissions of user 'm', of the management API, are not its own"


def test_a_run_that_ends_early_says_what_it_did() -> None:
    assert _so_far([]) == ""
    made = [Declaration("queue", "a", "declared"), Declaration("queue", "b", "refused", BrokerError(403, "no"))]
    assert _so_far(made) == "declared before: queue a; refused before: queue b; it is safe to run it again"


@pytest.mark.parametrize(
    ("consumed", "other"),
    [(("worker.2.executions",), False), ((), False), (("worker.8.executions", "worker.2.executions"), False),
     (("worker.8.executions",), True), (("worker.8.executions", EXECUTIONS), True)],
)  # fmt: skip
def test_a_registry_that_knows_none_of_the_workers_here(consumed: tuple[str, ...], other: bool) -> None:
    """A worker of the registry whose queue is missing; queues of workers 2 and 8 are there."""
    made = facts((worker(1), worker(2), worker(8)))
    assert made.registry is not None
    registry = msgspec.structs.replace(made.registry, workers=(worker(1), worker(2)))
    reason = _other_registry(msgspec.structs.replace(made, registry=registry), consumed)
    assert (reason is not None) is other
    assert reason is None or "none of the workers that consume here (ids 8)" in reason


def test_that_the_topology_is_the_default_is_said() -> None:
    before = diff(msgspec.structs.replace(lacking(EXECUTIONS), assumed=True, elsewhere=("attune",)))
    shown = [text for _, text, _ in lines(ApplyResult(before, declared(before), diff(facts())), None)]
    assert "attune-2026-01 is the default, as no release is recognised here: --topology names another" in shown
    assert "nothing of Attune was in virtual host '/'; others with its exchanges: 'attune'" in shown
