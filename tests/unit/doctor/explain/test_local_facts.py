"""What an error means on one installation: whose queue it is, what is registered, which step was skipped."""

from __future__ import annotations

import shlex
from datetime import timedelta
from typing import Any

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import choose
from attune_ops.doctor.explain import explain
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.snapshot import DeprecatedFeature
from attune_ops.model.startup_progress import Step
from attune_ops.model.topologies import candidates
from tests.unit.doctor.checks.world import EVENTS, NODE, ask, change, healthy, policy, queues, served
from tests.unit.facts import NOW, facts, worker

NO_QUEUE = "NOT_FOUND - no queue '{}' in vhost '/'"


def here(text: str, found: Facts, skipped: tuple[Step, ...] = ()) -> str:
    (told,) = explain(text, found, skipped)
    return " ".join(told.here)


def without_queue(name: str, **changes: Any) -> Facts:
    found = facts((worker(1, **changes),))
    assert found.broker is not None
    queues = tuple(q for q in found.broker.queues or () if q.name != name)
    return msgspec.structs.replace(found, broker=msgspec.structs.replace(found.broker, queues=queues))


def test_a_registered_worker_whose_declare_step_never_ran() -> None:
    assert here(NO_QUEUE.format("worker.1.executions"), without_queue("worker.1.executions")) == (
        "The queue is still missing. Worker 1 'w1' is registered; its declare step did not run, or was undone "
        "later (missing: worker.1.executions)."
    )


def test_a_queue_that_came_later() -> None:
    said = NO_QUEUE.format("worker.1.executions")
    assert "exists now" in here(said, facts((worker(1),)))
    (error,) = explain(said, facts((worker(1),)))
    assert "does not exist" not in error.meaning, "it does"


@pytest.mark.parametrize(
    "text",
    [
        f"NOT_FOUND - home node 'rabbit@a' of durable queue '{EVENTS}' in vhost '/' is down or inaccessible",
        f"NOT_FOUND - queue '{EVENTS}' in vhost '/' process is stopped by supervisor",
    ],
)
def test_a_queue_of_a_node_that_is_down_exists(text: str) -> None:
    down = msgspec.structs.replace(NODE, running=False)
    found = change(queues(healthy(), EVENTS, state="stopped", node=NODE.name), nodes=(down,))
    (told,) = explain(text, found)
    assert told.meaning.startswith(f"Queue '{EVENTS}' exists in vhost '/'")
    assert told.remedy.startswith("Start that node")
    assert told.here == ("Node rabbit@a is still down or unreachable.", "The queue is still unavailable.")
    assert here(text, queues(healthy(), EVENTS, node=NODE.name)) == (
        "Node rabbit@a is running now. The queue is available now."
    )
    assert here(text, msgspec.structs.replace(found, broker=None)) == ""


def test_a_worker_that_nobody_registered() -> None:
    assert "No worker 9 is registered" in here(NO_QUEUE.format("worker.9.executions"), facts((worker(1),)))


def test_a_stopped_and_a_dead_worker() -> None:
    name = "worker.1.executions"
    assert here(NO_QUEUE.format(name), without_queue(name, status="inactive")).endswith(
        "registered as inactive: it is stopped, and its queue was deleted with it."
    )
    there = here(NO_QUEUE.format(name), facts((worker(1, status="inactive"),)))
    assert there.endswith("registered as inactive: it is stopped.")
    durable = here(NO_QUEUE.format(name), healthy("attune-0.6", workers=(worker(2), worker(1, status="inactive"))))
    assert "deleted with it" not in durable
    dead = without_queue(name, last_heartbeat=NOW - timedelta(minutes=5))
    assert "stale (300 s old)" in here(NO_QUEUE.format(name), dead)


def test_the_step_that_was_skipped_is_named() -> None:
    said = here(NO_QUEUE.format("worker.1.executions"), facts(), (Step.DECLARE,))
    assert said == "It is the queue of worker 1: the declare step was skipped."
    said = here("NOT_FOUND - no exchange 'attune.executions' in vhost '/'", facts(), (Step.SETUP,))
    assert said == "Set-up declares 'attune.executions': the setup step was skipped."


def test_an_object_of_set_up_and_one_of_nobody() -> None:
    assert "has not run here" in here(NO_QUEUE.format("attune.events.queue"), without_queue("attune.events.queue"))
    foreign = here(NO_QUEUE.format("attune.event.queue"), facts())
    assert "has no queue 'attune.event.queue'; it has 'attune.events.queue'" in foreign


def test_another_vhost_is_not_compared() -> None:
    assert "nothing was compared" in here("NOT_FOUND - no queue 'q' in vhost 'other'", facts())


@pytest.mark.parametrize(
    ("asked", "there", "wrong"),
    [("true", "false", "The redeclare is right"), ("false", "true", "The object on the broker is right")],
)
def test_an_unequal_declaration_says_which_side_is_wrong(asked: str, there: str, wrong: str) -> None:
    text = (
        "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'attune.events.queue' in vhost '/': "
        f"received '{asked}' but current is '{there}'"
    )
    said = here(text, facts())
    assert "declares 'attune.events.queue' with durable = true" in said
    assert wrong in said


def test_an_unequal_argument_of_a_worker_s_queue() -> None:
    text = (
        "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'worker.1.executions' in vhost '/': "
        "received none but current is the value '300000' of type 'signedint'"
    )
    assert "with x-message-ttl = 300000" in here(text, facts(topology="attune-2026-09"))
    assert "with x-message-ttl = none" in here(text, facts())


def test_what_the_broker_says_of_the_deprecated_feature() -> None:
    denied = (DeprecatedFeature("transient_nonexcl_queues", state="denied"),)
    text = "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nIts use is not permitted by default."
    said = here(text, facts(deprecated=denied))
    assert said.startswith("State of transient_nonexcl_queues on this broker: denied.")
    assert said.endswith("Topology attune-2026-01 declares worker.{id}.executions neither durable nor exclusive.")
    assert "declares no such queue" in here(text, facts(topology="attune-2026-09"))


def test_the_rights_of_the_user() -> None:
    reach = Reach(Source.AMQP, user="bob", permissions=("^$", ".*", ".*"))
    found = msgspec.structs.replace(facts(), reach=(reach,))
    text = "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user '{}'"
    assert "configure '^$'" in here(text.format("bob"), found)
    assert here(text.format("eve"), found) == ""


REFUSED = "NOT_ALLOWED - access to vhost '{}' refused for user 'svc'"


def test_a_refused_object_has_no_command_that_replaces_permissions() -> None:
    text = "ACCESS_REFUSED - configure access to queue 'worker.1.executions' in vhost '/' refused for user 'svc'"
    found = served(healthy("attune-0.6"), configure="^x", write=".*", read="^y")
    for facts_of in (None, found):
        (told,) = explain(text, facts_of)
        assert told.commands == ("rabbitmqctl list_user_permissions svc", "attune-ops doctor --only AT117")
    assert here(text, found) == "User 'svc' has configure '^x', write '.*', read '^y' in '/'."


def granted(found: Facts | None, vhost: str = "/") -> dict[str, str]:
    """The permissions by right that the command gives."""
    (told,) = explain(REFUSED.format(vhost), found)
    words = shlex.split(told.commands[-1])
    assert words[:5] == ["rabbitmqctl", "set_permissions", "-p", vhost, "svc"]
    return dict(zip(("configure", "write", "read"), words[5:], strict=True))


@pytest.mark.parametrize("release", [*candidates()])
@pytest.mark.parametrize("vhost", ["/", "other"])
def test_a_user_without_permissions_is_given_what_the_services_need(release: str, vhost: str) -> None:
    for rights in (granted(healthy(release), vhost), granted(None)):
        assert not ask(served(healthy(release), **rights), *choose(all_checks(), ["AT117"])).findings


def test_a_user_that_was_given_permissions_since_keeps_them() -> None:
    some = granted(served(healthy("attune-0.6"), configure=".*", write="^other", read="^$"))
    assert (some["configure"], some["write"][:7]) == (".*", "^other|")
    assert not ask(served(healthy("attune-0.6"), **some), *choose(all_checks(), ["AT117"])).findings
    unknown = granted(served(healthy("attune-0.6"), configure="[[:alpha:]]", write=".*", read=".*"))
    assert list(unknown.values()) == ["CONFIGURE", "WRITE", "READ"], "only the broker can match it"


def test_silent_workers_and_alarms() -> None:
    stale = facts((worker(1, last_heartbeat=NOW - timedelta(minutes=5)), worker(2)), alarms=())
    assert here("missed heartbeats from client, timeout: 60s", stale) == (
        "1 of 2 workers registered as running have a stale heartbeat: 1 'w1'."
    )
    assert here("memory resource limit alarm set", stale) == "Alarms now: none."


def test_a_broker_that_was_not_seen_is_said_nothing_about() -> None:
    unseen = msgspec.structs.replace(facts(), broker=None, missing={Source.BROKER: "down"})
    assert "now" not in here(NO_QUEUE.format("attune.events.queue"), unseen)


def test_where_a_rejected_body_is_now() -> None:
    text = "Failed to deserialize message: missing field `payload` at line 1 column 12"
    lost = here(text, healthy("attune-0.6"))
    assert lost.startswith("No queue receives the messages that are rejected in attune.executor.events.queue")
    routed = policy(healthy("attune-0.6"), "dead", "^(attune|worker)", dead_letter_routing_key="#")
    assert here(text, queues(routed, "attune.dlx.queue", messages=2)) == (
        "attune.dlx.queue holds 2 dead letters: attune-ops messages peek -- attune.dlx.queue."
    )


def test_which_workers_could_be_scheduled() -> None:
    found = facts((worker(1, cordoned=True), worker(2, status="inactive")))
    assert here("No active, uncordoned workers available", found) == "Live workers now: 1; cordoned: w1."


def test_who_has_the_name_and_who_is_silent() -> None:
    taken = 'duplicate key value violates unique constraint "worker_name_key"\nDETAIL:  Key (name)=(w1) already exists.'
    found = facts((worker(1, host="pod-a"),))
    assert "Worker 1 has this name, on host pod-a; last heartbeat: " in here(taken, found)
    assert "0 of 1 workers registered as running" in here("Worker w1 heartbeat is stale", found)


def test_ten_workers_with_a_stale_heartbeat_are_named() -> None:
    found = facts(tuple(worker(i, last_heartbeat=NOW - timedelta(minutes=5)) for i in range(1, 12)))
    assert here("missed heartbeats from client, timeout: 60s", found) == (
        "11 of 11 workers registered as running have a stale heartbeat: 1 'w1', 2 'w2', 3 'w3', 4 'w4', 5 'w5', "
        "6 'w6', 7 'w7', 8 'w8', 9 'w9', 10 'w10'."
    )


def test_three_cordoned_workers_are_named_and_the_others_are_counted() -> None:
    found = facts(tuple(worker(i, cordoned=True) for i in (1, 2, 3, 4)))
    said = "Live workers now: 4; cordoned: w1, w2, w3 and 1 more."
    assert here("No active, uncordoned workers available", found) == said
