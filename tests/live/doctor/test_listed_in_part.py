"""The list of consumers is up to 10 s old: one that it does not show yet is not missing."""

from __future__ import annotations

from collections.abc import Callable, Collection

from attune_ops.model.startup_progress import Step
from tests.live.doctor.broken import EXECUTIONS, W1
from tests.live.places import JANUARY, Place
from tests.world import eventually


def consumes_until_listed(p: Place, queue: str, tags: Collection[str]) -> None:
    """Consumes by these tags, and waits until the list has them and no others."""
    for tag in tags:
        p.consume(queue, tag)

    def listed() -> bool:
        there = p.look(["AT405"]).facts.actual.consumers_of.get(queue, ())
        return {c.tag for c in there} == set(tags)

    eventually(listed, within=30, every=0.5)


def details(p: Place, code: str) -> list[str]:
    """What a check finds now."""
    return [f.detail for f in p.look([code]).findings]


def test_a_service_with_some_consumers_in_the_list(place: Callable[..., Place]) -> None:
    p = place(JANUARY).populate()
    first, *others = [c.tag for c in p.settings.topology.consumers if c.queue == EXECUTIONS]
    p.services["executor"].stop()
    consumes_until_listed(p, EXECUTIONS, [first])
    (found,) = [text for text in details(p, "AT405") if text.startswith(EXECUTIONS)]
    assert f"consumer {', '.join(others)} of the executor is missing; found: {first!r}" in found
    p.consume(EXECUTIONS, others[0])
    (found,) = [text for text in details(p, "AT405") if text.startswith(EXECUTIONS)]
    assert "is missing" in found  # of one at least, whatever the list shows
    p.consume(EXECUTIONS, others[1])
    assert not [text for text in details(p, "AT405") if text.startswith(EXECUTIONS)]


def test_a_worker_beside_a_stranger_in_the_list(place: Callable[..., Place]) -> None:
    p = place(JANUARY)
    p.start("executor")
    p.start("worker", "w1", skip=[Step.CONSUME])
    (own,) = [c.tag for c in p.settings.topology.worker_consumers(1)]
    consumes_until_listed(p, W1, ["stranger"])
    (found,) = details(p, "AT403")
    assert found.startswith(f"{W1} has the consumer 'stranger' of ")
    assert found.endswith(f" instead of {own!r}")
    p.consume(W1, own)
    assert not details(p, "AT403")
