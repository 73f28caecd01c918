"""For each check the facts that make it fire, alone, and the subject that it must name."""

from __future__ import annotations

from datetime import timedelta
from typing import NamedTuple

import msgspec

from attune_ops.doctor.findings import Severity, Subject, SubjectKind
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import ConnectionState, ExchangeState, NodeState, QueueState
from attune_ops.model.topology import Binding, Exchange, Publish, Queue
from tests.unit.doctor.checks.world import (
    EVENTS,
    EXECUTIONS,
    FLAWLESS,
    JANUARY,
    NODE,
    SEPTEMBER,
    W1,
    bound,
    change,
    consumer,
    executing,
    execution,
    feature,
    healthy,
    holding,
    more_queues,
    other_release,
    policy,
    queues,
    reaching,
    registered,
    since,
    stale,
    topology,
    unreadable_parking,
    without_bindings,
    without_consumers,
    without_exchange,
    without_queues,
)
from tests.unit.facts import NOW, queue, worker


class Case(NamedTuple):
    """What is broken, the check that must find it, and what it must name."""

    code: str
    what: str
    facts: Facts
    kind: SubjectKind
    name: str
    severity: Severity
    says: str = ""  # a part of the finding's detail

    @property
    def subject(self) -> Subject:
        """The subject without its virtual host."""
        return Subject(self.kind, self.name)


E, W, I = Severity.ERROR, Severity.WARNING, Severity.INFO  # noqa: E741 - a column of the table below

H = healthy()
F = healthy(FLAWLESS)
S = healthy(SEPTEMBER)
DOWN = NodeState("rabbit@b", False)
ALL_OF_3 = tuple(f"worker.3.{q}" for q in ("executions", "packs", "cancel", "packtests"))
REGISTERED = {"created": NOW - timedelta(minutes=4), "last_heartbeat": NOW - timedelta(minutes=4)}
ALL_OF_1 = tuple(f"worker.1.{q}" for q in ("executions", "packs", "cancel", "packtests"))
LOOP = Queue("x.jobs", arguments={"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "x.jobs"})


def old_heads(facts: Facts) -> Facts:
    """The executions queue with three messages, the oldest an hour old."""
    return queues(facts, EXECUTIONS, messages=3, head_message_timestamp=NOW - timedelta(hours=1))


CASES = (
    Case("AT101", "refused", reaching(H, Source.AMQP, error="connection refused"), "broker", "amqp://h", E, "refused"),
    Case("AT102", "no plug-in", reaching(H, Source.MANAGEMENT, error="refused"), "broker", "http://h", E),
    Case("AT103", "down", reaching(H, Source.REGISTRY, error="refused"), "registry", "postgresql://h", E),
    Case("AT104", "slow", reaching(H, Source.AMQP, latency_ms=4321.0), "broker", "amqp://h", W, "4,321 ms"),
    Case(
        "AT105",
        "partial",
        reaching(H, Source.MANAGEMENT, permissions=(r"^attune\.", ".*", ".*")),
        "broker",
        "http://h",
        E,
        f"no configure permission on {W1}",
    ),
    Case("AT105", "looks only", reaching(H, Source.MANAGEMENT, permissions=("", "", ".*")), "broker", "http://h", I),
    Case("AT106", "own only", reaching(H, Source.MANAGEMENT, tags=("management",)), "broker", "http://h", I),
    Case("AT107", "ahead", reaching(H, Source.REGISTRY, clock_offset_s=90.0), "registry", "postgresql://h", W, "90 s"),
    Case("AT108", "too new", change(H, version="5.1.0"), "broker", "/", I, "5.1.0"),
    Case("AT109", "soon", reaching(H, Source.MANAGEMENT, certificate_days=9), "broker", "http://h", W, "9 days"),
    Case(
        "AT109",
        "ended",
        reaching(H, Source.MANAGEMENT, certificate_days=-2),
        "broker",
        "http://h",
        E,
        "expired 2 days ago",
    ),
    Case("AT110", "down", change(H, nodes=(NODE, DOWN)), "node", "rabbit@b", E),
    Case(
        "AT111",
        "partition",
        change(H, nodes=(msgspec.structs.replace(NODE, partitions=("rabbit@b",)),), cluster="c"),
        "broker",
        "c",
        E,
        "rabbit@a does not see rabbit@b",
    ),
    Case(
        "AT112",
        "memory",
        change(H, nodes=(msgspec.structs.replace(NODE, memory_alarm=True),)),
        "node",
        "rabbit@a",
        E,
        "publishers are blocked",
    ),
    Case(
        "AT112",
        "told as text",
        change(H, nodes=None, alarms=("disk alarm on rabbit@a",)),
        "node",
        "rabbit@a",
        E,
        "disk alarm",
    ),
    Case(
        "AT113",
        "memory",
        change(H, nodes=(msgspec.structs.replace(NODE, memory_used=9_000_000_000),)),
        "node",
        "rabbit@a",
        W,
        "90 %",
    ),
    Case(
        "AT113",
        "descriptors",
        change(H, nodes=(msgspec.structs.replace(NODE, descriptors_used=950),)),
        "node",
        "rabbit@a",
        W,
        "950 of 1000",
    ),
    Case(
        "AT113",
        "disk",
        change(H, nodes=(msgspec.structs.replace(NODE, disk_free=60_000_000),)),
        "node",
        "rabbit@a",
        W,
        "disk",
    ),
    Case(
        "AT114", "blocked", change(H, connections=(ConnectionState("c2", "/", state="blocked"),)), "connection", "c2", W
    ),
    Case("AT115", "behind", change(H, statistics_backlog=50_000), "broker", "/", W, "50,000"),
    Case("AT115", "off", change(H, statistics_disabled=True), "broker", "/", I),
    Case("AT201", "deleted", without_exchange(H, "attune.events"), "exchange", "attune.events", E, "sensor"),
    Case("AT202", "deleted", without_queues(H, EXECUTIONS), "queue", EXECUTIONS, E, "404"),
    Case(
        "AT203", "shorter", policy(S, "short", "worker", message_ttl=1000), "policy", "short", W, "message-ttl = 1000"
    ),
    Case(
        "AT204",
        "unbound",
        without_bindings(H, lambda b: b.destination == EXECUTIONS),
        "binding",
        f"attune.executions → {EXECUTIONS} ('execution')",
        E,
    ),
    Case(
        "AT204",
        "wrong key",
        bound(without_bindings(H, lambda b: b.destination == EXECUTIONS), "attune.executions", EXECUTIONS, "executoin"),
        "binding",
        f"attune.executions → {EXECUTIONS} ('execution')",
        E,
        "(found: 'executoin')",
    ),
    Case(
        "AT205",
        "type",
        change(
            H,
            exchanges=(
                *(e for e in H.actual.exchanges or () if e.name != "attune.executions"),
                ExchangeState("attune.executions", "/", "topic"),
            ),
        ),
        "exchange",
        "attune.executions",
        E,
        "type is topic (desired: direct)",
    ),
    Case(
        "AT206",
        "durable",
        queues(H, EXECUTIONS, durable=False),
        "queue",
        EXECUTIONS,
        E,
        "durable is false (desired: true); declaring it fails with 406",
    ),
    Case("AT206", "argument", queues(H, EXECUTIONS, arguments={}), "queue", EXECUTIONS, E, "x-dead-letter-exchange"),
    Case(
        "AT206",
        "all workers alike",
        queues(H, ["worker.1.executions", "worker.2.executions"], durable=True),
        "queue",
        W1,
        E,
        "worker.2.executions",
    ),
    Case(
        "AT207",
        "one more",
        bound(H, "attune.events", EXECUTIONS, "rule.#"),
        "binding",
        f"attune.events → {EXECUTIONS} ('rule.#')",
        W,
    ),
    Case(
        "AT208",
        "literal",
        bound(H, "attune.executions", EVENTS, "execution.#"),
        "binding",
        f"attune.executions → {EVENTS} ('execution.#')",
        W,
        "direct",
    ),
    Case(
        "AT209",
        "foreign",
        change(H, exchanges=(*(H.actual.exchanges or ()), ExchangeState("theirs", "/", "topic"))),
        "exchange",
        "theirs",
        I,
    ),
    Case(
        "AT211",
        "hidden",
        policy(policy(H, "ttl", EVENTS, message_ttl=1000), "all", "", 5, max_length=9),
        "policy",
        "all",
        W,
        "message-ttl of ttl has no effect",
    ),
    Case(
        "AT211",
        "tied",
        policy(policy(H, "a", EVENTS, max_length=1), "b", EVENTS, max_length=2),
        "policy",
        "a",
        W,
        "undefined",
    ),
    Case(
        "AT212",
        "not for classic",
        policy(H, "limit", EVENTS, delivery_limit=5, message_ttl=9),
        "policy",
        "limit",
        W,
        "delivery-limit is not supported on classic queues",
    ),
    Case(
        "AT214",
        "the topology of another release",
        other_release(S),
        "broker",
        "topology",
        E,
        "the broker runs attune-2026-09 (",
    ),
    Case("AT213", "adds", policy(H, "cap", EVENTS, max_length=1000), "policy", "cap", I, "max-length = 1000"),
    Case(
        "AT301",
        "not bound",
        without_bindings(H, lambda b: b.destination == W1),
        "route",
        "attune.executions worker.1",
        E,
        "for worker 1 is unroutable",
    ),
    Case(
        "AT302",
        "one of two",
        without_bindings(S, lambda b: b.destination == "attune.executor.events.queue"),
        "route",
        "attune.events event.created",
        E,
        "attune.executor.events.queue",
    ),
    Case("AT303", "own", bound(H, "attune.events", EXECUTIONS, "event.*"), "queue", EXECUTIONS, W, "EventCreated"),
    Case("AT303", "foreign", bound(more_queues(H, queue("tap")), "attune.events", "tap", "#"), "queue", "tap", I),
    Case("AT304", "not read", without_consumers(H, W1), "queue", W1, E),
    Case("AT305", "no exchange", without_exchange(F, "x.dead"), "exchange", "x.dead", W, "x.jobs"),
    Case(
        "AT306",
        "by policy",
        policy(
            F,
            "back",
            "^x.graveyard$",
            dead_letter_exchange="",
            message_ttl=60_000,
            dead_letter_routing_key="x.graveyard",
        ),
        "queue",
        "x.jobs",
        W,
        "dropped by the broker as a cycle",
    ),
    Case(
        "AT307",
        "without limit",
        topology(queues(F, "x.graveyard", consumers=0, arguments={})),
        "queue",
        "x.graveyard",
        I,
    ),
    Case("AT401", "missing", without_queues(H, W1), "queue", W1, E, "worker 1 (w1) is registered as active"),
    Case("AT401", "four missing", without_queues(S, *ALL_OF_1), "queue", W1, E, "worker.1.packtests"),
    Case(
        "AT402",
        "wrong key",
        bound(without_bindings(H, lambda b: b.destination == W1), "attune.executions", W1, "worker.l"),
        "binding",
        f"attune.executions → {W1} ('worker.1')",
        E,
        "(found: 'worker.l')",
    ),
    Case("AT403", "silent", queues(without_consumers(H, W1), W1, messages=7), "queue", W1, E, "backlog: 7 messages"),
    Case("AT403", "stranger", consumer(H, "worker-1", tag="peek"), "queue", W1, E, "'peek'"),
    Case(
        "AT404",
        "two",
        change(
            H,
            consumers=(
                *(H.actual.consumers or ()),
                msgspec.structs.replace(H.actual.consumers_of[W1][0], connection="c2", peer_host="10.0.0.2"),
            ),
        ),
        "worker",
        "w1",
        E,
        "10.0.0.2",
    ),
    Case(
        "AT405",
        "down",
        queues(without_consumers(H, EXECUTIONS), EXECUTIONS, messages=3),
        "queue",
        EXECUTIONS,
        E,
        "3 messages for the executor",
    ),
    Case(
        "AT405",
        "one tag",
        change(H, consumers=tuple(c for c in H.actual.consumers or () if c.tag != "executor.manager")),
        "queue",
        EXECUTIONS,
        W,
        "executor.manager",
    ),
    Case(
        "AT405",
        "whole service",
        without_consumers(S, *(c.queue for c in S.topology.consumers if c.service == "executor")),
        "consumer",
        "executor",
        E,
        "8 queues",
    ),
    Case("AT406", "unbounded", consumer(H, "worker-1", prefetch=0), "consumer", "worker-1", W, "0 (unlimited)"),
    Case("AT407", "unknown", registered(H, worker(1), worker(2)), "queue", "worker.3.executions", W, "no worker 3"),
    Case(
        "AT407",
        "with messages",
        queues(without_consumers(registered(S, worker(1), worker(2)), "worker.3.packs"), "worker.3.packs", messages=4),
        "queue",
        "worker.3.executions",
        W,
        "4 messages",
    ),
    Case(
        "AT407",
        "unread messages",
        queues(
            without_consumers(registered(H, worker(1), worker(2)), "worker.3.executions"),
            "worker.3.executions",
            messages=4,
        ),
        "queue",
        "worker.3.executions",
        E,
    ),
    Case(
        "AT407",
        "stopped",
        without_consumers(registered(S, worker(1), worker(2), worker(3, status="inactive")), *ALL_OF_3),
        "queue",
        "worker.3.executions",
        I,
        "stopped",
    ),
    Case(
        "AT407",
        "stopped, with messages",
        queues(
            without_consumers(registered(S, worker(1), worker(2), worker(3, status="inactive")), *ALL_OF_3),
            "worker.3.executions",
            messages=4,
        ),
        "queue",
        "worker.3.executions",
        E,
        "4 messages",
    ),
    Case("AT408", "never", without_consumers(H, W1), "queue", W1, W, "the broker does not delete it"),
    Case(
        "AT409", "died", registered(without_queues(H, W1), stale(1), worker(2), worker(3)), "worker", "w1", E, "10 min"
    ),
    Case(
        "AT409",
        "never beat",
        registered(without_queues(H, W1), worker(1, last_heartbeat=None), worker(2), worker(3)),
        "worker",
        "w1",
        E,
        "never",
    ),
    Case(
        "AT409",
        "sensor",
        registered(H, worker(1), worker(2), worker(3), stale(4, role="sensor")),
        "worker",
        "w4",
        W,
        "10 min",
    ),
    Case("AT410", "consumes", registered(H, stale(1), worker(2), worker(3)), "worker", "w1", W, "has consumers, but"),
    Case(
        "AT411",
        "cordoned",
        registered(H, worker(1, cordoned=True, cordon_reason="disk"), worker(2), worker(3)),
        "worker",
        "w1",
        I,
        "disk",
    ),
    Case(
        "AT412",
        "older release",
        more_queues(H, queue("attune.enforcements.queue"), queue("worker.1.packs")),
        "queue",
        "attune.enforcements.queue",
        W,
        "worker.1.packs",
    ),
    Case(
        "AT415",
        "starts",
        without_consumers(registered(S, worker(1, **REGISTERED), worker(2), worker(3)), *ALL_OF_1),
        "worker",
        "w1",
        I,
        "its heartbeat is 4 min old",
    ),
    Case(
        "AT415",
        "set inactive",
        without_consumers(
            registered(
                S, worker(1, status="inactive", updated=NOW - timedelta(minutes=2), **REGISTERED), worker(2), worker(3)
            ),
            *ALL_OF_1,
        ),
        "worker",
        "w1",
        I,
    ),
    Case(
        "AT415",
        "just registered",
        without_consumers(
            registered(S, worker(1, created=NOW - timedelta(seconds=5)), worker(2), worker(3)), *ALL_OF_1
        ),
        "worker",
        "w1",
        I,
    ),
    Case(
        "AT416",
        "all cordoned",
        registered(H, *(worker(i, cordoned=True, cordon_reason="upgrade") for i in (1, 2, 3))),
        "worker",
        "w1",
        E,
        "w1, w2, w3 (upgrade)",
    ),
    Case(
        "AT413",
        "parked or lost",
        unreadable_parking(executing(H, execution(6, "requested"))),
        "execution",
        "6",
        E,
        "or parked by a concurrency policy",
    ),
    Case("AT413", "lost", executing(H, execution(5, "scheduled", worker=1)), "execution", "5", E, "lost"),
    Case(
        "AT413", "waits", queues(executing(H, execution(6, "requested")), EXECUTIONS, messages=2), "execution", "6", W
    ),
    Case(
        "AT414",
        "dead worker",
        executing(registered(H, stale(1), worker(2), worker(3)), execution(7, "running", worker=1)),
        "execution",
        "7",
        E,
        "w1",
    ),
    Case(
        "AT501",
        "unread",
        queues(without_consumers(H, EXECUTIONS), EXECUTIONS, messages=12),
        "queue",
        EXECUTIONS,
        E,
        "12",
    ),
    Case("AT501", "never meant", queues(without_consumers(H, EVENTS), EVENTS, messages=5), "queue", EVENTS, W),
    Case(
        "AT502",
        "held",
        holding(H, W1, 3, 30),
        "queue",
        W1,
        W,
        "attune worker w9 on 10.0.0.9 holds 3 unacknowledged messages",
    ),
    Case(
        "AT503",
        "between samples",
        since(H, without_queues(H, W1)),
        "consumer",
        "worker-1",
        E,
        "it existed in the first sample",
    ),
    Case(
        "AT503",
        "by name",
        change(
            without_consumers(S, W1),
            connections=(ConnectionState("c7", "/", client_name="attune worker w1"),),
        ),
        "consumer",
        "worker-1",
        E,
        "is connected",
    ),
    Case("AT504", "silent", queues(H, EVENTS, messages=None, messages_ready=None, state="down"), "queue", EVENTS, E),
    Case("AT504", "foreign", more_queues(H, QueueState("theirs", "/", state="crashed")), "queue", "theirs", I),
    Case("AT505", "stuck", holding(H, W1, 10, 5, messages_ready=4), "queue", W1, E, "4 more are ready"),
    Case("AT505", "full", holding(H, W1, 10, 5, messages_ready=0), "queue", W1, W),
    Case(
        "AT506",
        "grows",
        since(H, queues(H, EXECUTIONS, messages=500)),
        "queue",
        EXECUTIONS,
        W,
        "from 0 to 500 messages",
    ),
    Case("AT507", "storm", queues(H, W1, redeliver_rate=80.0, deliver_rate=90.0), "queue", W1, W, "80 of 90"),
    Case("AT508", "old", old_heads(H), "queue", EXECUTIONS, W, "1 h"),
    Case("AT509", "total", change(H, dropped_unroutable=9), "broker", "dropped", I),
    Case("AT509", "rises", since(H, change(H, dropped_unroutable=9)), "broker", "dropped", W, "9 of them"),
    Case(
        "AT510", "dead letters", queues(F, "x.graveyard", messages=3, consumers=0), "queue", "x.graveyard", W, "3 dead"
    ),
    Case("AT511", "large", queues(H, EXECUTIONS, messages_ready=20_000), "queue", EXECUTIONS, W, "20,000"),
    Case("AT601", "no binding", S, "route", "attune.executions inquiry.created", W, "InquiryCreated"),
    Case(
        "AT602",
        "nothing published",
        topology(F, bindings=(*FLAWLESS.bindings, Binding("x.work", "x.jobs", "gone"))),
        "binding",
        "x.work → x.jobs ('gone')",
        I,
    ),
    Case("AT603", "literal", S, "binding", "attune.dlx → attune.dlx.queue ('#')", W, "direct exchange"),
    Case("AT604", "nowhere", healthy(JANUARY), "exchange", "attune.dlx", W, "lost"),
    Case(
        "AT605", "circle", topology(F, queues=(LOOP, *FLAWLESS.queues[1:])), "queue", "x.jobs", W, "repeats endlessly"
    ),
    Case("AT606", "hoards", H, "queue", EVENTS, W, "grows without bound"),
    Case("AT607", "auto-delete", H, "queue", "worker.{id}.executions", W, "its last consumer"),
    Case("AT608", "lasting", S, "queue", "worker.{id}.packs", W, "x-expires"),
    Case("AT609", "unreached", topology(F, queues=(*FLAWLESS.queues, Queue("x.lonely"))), "queue", "x.lonely", I),
    Case("AT610", "unbound", H, "exchange", "attune.dlx", W),
    Case("AT611", "no exchange", H, "queue", "worker.{id}.executions", I),
    Case(
        "AT612",
        "fanout",
        topology(
            F,
            exchanges=(Exchange("x.work", "fanout"), FLAWLESS.exchanges[1]),
            publishes=(Publish("Job", "x.work", "job.for.{id}"),),
        ),
        "route",
        "x.work job.for.{id}",
        W,
        "worker.2.jobs",
    ),
    Case("AT701", "in use", change(H, deprecated=(feature(),)), "broker", "transient_nonexcl_queues", I, W1),
    Case(
        "AT702",
        "denied",
        change(H, deprecated=(feature(state="denied"),)),
        "broker",
        "transient_nonexcl_queues",
        E,
        "541",
    ),
    Case(
        "AT703",
        "by default",
        change(H, version="4.0.5"),
        "broker",
        "transient_nonexcl_queues",
        I,
        "RabbitMQ 4.3 denies",
    ),
    Case(
        "AT703",
        "asked",
        msgspec.structs.replace(change(H, version="4.0.5"), target_version="4.3"),
        "broker",
        "transient_nonexcl_queues",
        W,
        "delete 3 such queues",
    ),
    Case(
        "AT704",
        "denied by 4.3",
        change(F, version="4.0.5", deprecated=(feature(name="global_qos"),)),
        "broker",
        "global_qos",
        I,
        "in use here",
    ),
    Case(
        "AT704",
        "seen",
        policy(change(F, version="3.10.8"), "near", ".*", queue_master_locator="min-masters"),
        "broker",
        "queue_master_locator",
        I,
        "policy near",
    ),
    Case("AT705", "mirroring", policy(change(F, version="3.10.8"), "ha", ".*", ha_mode="all"), "policy", "ha", I),
)
