"""Ten broken installations seen by somebody who runs `attune-ops doctor` and nothing else.

The first screen names the cause and the fix of each; then the fix is done as it stands there: by the commands, or
by the person where only a person can do it. The installations are broken first, each in a virtual host of its own,
because statistics are up to 10 s old.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import pytest

from attune_ops.installation import amqp_write as act
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Binding, Queue
from tests.live.doctor.broken import DLX, EXECUTIONS, W1, W2, executor_down, policy
from tests.live.doctor.incidents import SIX, lifecycle_queue, thirty_dead
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.live.screen import copy, healthy, shows
from tests.world import Run

pytestmark = pytest.mark.slow


class Broken(NamedTuple):
    """How an installation is broken, what the first screen says of it, and what a person does (None: it prints it)."""

    breaks: Callable[[Place], None]
    code: str
    says: tuple[str, ...]
    by_hand: Callable[[Place], None] | None = None
    topology: str = JANUARY
    severity: str = "ERROR"


def worker_without_queue(p: Place) -> None:
    """The incident of 2026-01-16: the worker starts, and its queue is never declared."""
    p.start("worker", "w3", ok=False, skip={Step.DECLARE, Step.BIND})


def starts_again(service: str, name: str | None = None) -> Callable[[Place], None]:
    def start(p: Place) -> None:
        p.services[name or service].disconnect()
        p.start(service, name)

    return start


def queue_deleted_in_the_browser(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{EXECUTIONS}")


def exchange_made_by_hand(p: Place) -> None:
    """Deleted and created again with a click: its bindings are gone."""
    p.vhost.api("DELETE", "exchanges/{vhost}/attune.executions")
    p.vhost.api("PUT", "exchanges/{vhost}/attune.executions", {"type": "topic", "durable": True})


def typing_error(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, Binding("attune.executions", W1, "execution.dispatch.worker.1"))
        act.bind(channel, Binding("attune.executions", W1, "execution.dispatch.worker1"))


def nobody_schedules(p: Place) -> None:
    executor_down(p)
    p.publish("attune.executions", "execution.requested", 8)


def forgotten_script(p: Place) -> None:
    p.consume(W1, "debug")
    p.publish("attune.executions", "worker.1", 6)


def small_queues(p: Place) -> None:
    """Somebody "protects the memory"."""
    policy(p, "cleanup", ".*", max_length=5)


def wrong_arguments(p: Place) -> None:
    p.services["w2"].stop()
    with p.vhost.channel() as channel:
        act.delete_queue(channel, W2)
        act.declare_queue(channel, Queue(W2, arguments=dict(DLX)))
    p.start("worker", "w2", ok=False).disconnect()


def queue_made_again(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{W2}")
    p.start("worker", "w2")


def same_name(p: Place) -> None:
    """Two replicas with one ATTUNE_WORKER_NAME."""
    first = p.services["w1"]
    p.start("worker", "w1")
    p.services["second"], p.services["w1"] = p.services["w1"], first


def stop_second(p: Place) -> None:
    p.services["second"].disconnect()


def everything_cordoned(p: Place) -> None:
    p.sql("UPDATE worker SET cordoned = 1, cordon_reason = 'maintenance'")


def uncordon(p: Place) -> None:
    p.sql("UPDATE worker SET cordoned = 0")


LABS = {
    "worker without a queue": Broken(
        worker_without_queue, "AT401", ("worker.3.executions is missing: work for worker 3 (w3) is lost",
        "→ Restart the worker"), starts_again("worker", "w3"),
    ),
    "queue deleted": Broken(
        queue_deleted_in_the_browser, "AT202", (f"queue {EXECUTIONS} is missing", "→ Declare it", "restart a service"),
        starts_again("executor"),
    ),
    "exchange made by hand": Broken(
        exchange_made_by_hand, "AT204", ("6 queues are not bound to attune.executions: ",
        "attune.executions has no bindings left", "→ Declare"), topology=SIX,
    ),
    "typing error": Broken(
        typing_error, "AT402", ("is not bound to attune.executions with key 'execution.dispatch.worker.1' "
        "(found: 'execution.dispatch.worker1')",), topology=SIX,
    ),
    "no executor": Broken(
        nobody_schedules, "AT405", ("the executor has no consumer on any of its 8 queues", "→ Start the executor"),
        starts_again("executor"), topology=SIX,
    ),
    "forgotten script": Broken(
        forgotten_script, "AT417", (f"{W1} has an unknown consumer: 'debug' of Pika", "→ Stop that program."),
    ),
    "small queues": Broken(
        small_queues, "AT215", ("policy cleanup loses messages of", "max-length 5 is below the prefetch", "→ Remove"),
    ),
    "wrong arguments": Broken(
        wrong_arguments, "AT206", (f"{W2}: x-message-ttl is not set (desired: 300000); declaring it fails with 406",
        "→ Move its messages, delete the queue, then restart its worker"), queue_made_again, topology=SEPTEMBER,
    ),
    "one name twice": Broken(
        same_name, "AT404", (f"{W1} has 2 consumers", "→ Stop the second process"), stop_second
    ),
    "all cordoned": Broken(
        everything_cordoned, "AT416", ("every live worker is cordoned: w1, w2 (maintenance)", "→ Uncordon a worker"),
        uncordon,
    ),
    "thirty pods died": Broken(
        thirty_dead, "AT409", ("30 workers are registered as running, but their heartbeats are old",), topology=SIX
    ),
    "left by an upgrade": Broken(
        lifecycle_queue, "AT412", ("attune.rules.lifecycle.queue is a leftover of release 0.5",), topology=SIX,
        severity="WARNING",
    ),
}  # fmt: skip


@pytest.mark.parametrize("part", range(3))
def test_cause_and_fix_stand_on_the_first_screen(part: int, place: Callable[..., Place], run: Run) -> None:
    labs = dict(list(LABS.items())[part::3])
    places = {name: place(lab.topology).populate() for name, lab in labs.items()}
    for name, lab in labs.items():
        lab.breaks(places[name])
    for name, (_, code, says, by_hand, _, severity) in labs.items():
        p = places[name]
        screen = shows(p, run, code, *says, severity=severity)
        if by_hand is None:
            copy(screen, code, p, run)
        else:
            by_hand(p)
    for p in places.values():
        healthy(p, run)
