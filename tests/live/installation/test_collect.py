"""Reading a real broker: a fixed number of requests, fresh numbers, and what some users are not told."""

from __future__ import annotations

import contextlib
from collections import Counter
from collections.abc import Collection
from typing import Any

import pytest

from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings, resolve
from attune_ops.installation.management import open_management
from attune_ops.installation.pooled_http import PooledHttp
from attune_ops.model.facts import Facts, Source, decode, encode
from attune_ops.model.snapshot import QueueState
from tests.hostile import NAMES
from tests.world import Users, Vhost, eventually

NO_REGISTRY = {Source.REGISTRY, Source.EXECUTIONS, Source.ASSIGNMENTS, Source.EARLIER}
ELSEWHERE = {Source.DEAD_LETTERED}  # the suite's broker has its Prometheus endpoint at another port
BEFORE_3_13 = (3, 13)


def settings(target: Vhost, **options: str) -> Settings:
    return resolve({"amqp_url": target.amqp_url, "management_url": target.management_url, **options}, {})


def read(target: Vhost, wants: Collection[Source] | None = None, **more: Any) -> Facts:
    return collect(settings(target), wants, **more)


def queue(facts: Facts, name: str) -> QueueState:
    return next(q for q in facts.actual.queues or () if q.name == name)


def declare(target: Vhost, count: int) -> None:
    with target.channel() as channel:
        for i in range(count):
            channel.queue_declare(f"q{i}", durable=True)
            channel.queue_bind(f"q{i}", "amq.topic", f"k.{i}")


def all_told(facts: Facts) -> bool:
    """Whether the client is there with all its parts: a new channel is told some seconds after its consumer."""
    seen = facts.actual
    return bool(
        seen.connections
        and seen.consumers
        and seen.consumers[0].connection
        and seen.channels
        and seen.channels[0].number
    )


def test_everything_is_read(vhost: Vhost) -> None:
    vhost.api("PUT", "policies/{vhost}/p", {"pattern": "^q0$", "definition": {"max-length": 9}, "apply-to": "queues"})
    declare(vhost, 2)
    with vhost.channel() as channel:
        channel.basic_qos(prefetch_count=7)
        channel.basic_consume("q0", lambda *_: None, consumer_tag="tag-1")
        facts = eventually(lambda: all_told(f := read(vhost)) and f)
    unknown = NO_REGISTRY | ({Source.DEPRECATED} if vhost.broker.version < BEFORE_3_13 else set())
    assert set(facts.missing) - ELSEWHERE == unknown
    seen = facts.actual
    assert {q.name: (q.type, q.durable, q.policy) for q in seen.queues or ()} == {
        "q0": ("classic", True, "p"),
        "q1": ("classic", True, None),
    }
    assert {(b.source, b.destination, b.routing_key) for b in seen.bindings or ()} == {
        ("amq.topic", "q0", "k.0"),
        ("amq.topic", "q1", "k.1"),
    }
    assert {"", "amq.topic"} <= {e.name for e in seen.exchanges or ()}
    assert seen.consumers
    assert seen.connections
    assert seen.channels
    consumer, connection, channel_state = seen.consumers[0], seen.connections[0], seen.channels[0]
    assert len(seen.consumers) == len(seen.connections) == len(seen.channels) == 1
    assert (consumer.queue, consumer.tag, consumer.prefetch, consumer.ack_required) == ("q0", "tag-1", 7, True)
    assert (connection.vhost, connection.user) == (vhost.name, vhost.user)
    assert channel_state.connection == connection.name == consumer.connection
    assert [(p.name, p.pattern, p.apply_to, p.definition) for p in seen.policies or ()] == [
        ("p", "^q0$", "queues", {"max-length": 9})
    ]
    assert [n.running for n in seen.nodes or ()] == [True]
    assert seen.alarms == ()
    assert decode(encode(facts)) == facts


def test_reach(vhost: Vhost) -> None:
    facts = read(vhost, {Source.AMQP, Source.MANAGEMENT})
    version = ".".join(map(str, vhost.broker.version))
    amqp, management = facts.reach
    for reach in (amqp, management):
        assert reach.error is None
        assert reach.latency_ms is not None
        assert 0 < reach.latency_ms < 10_000
        assert (reach.user, reach.version) == (vhost.user, version)
        assert "***" in reach.target
    assert management.permissions == (".*", ".*", ".*")
    assert "administrator" in (management.tags or ())
    assert management.clock_offset_s is not None
    assert abs(management.clock_offset_s) < 5
    # What was not asked for says so, and was not read.
    assert facts.missing[Source.BROKER] == "not requested"
    assert facts.actual.queues is None


@pytest.mark.parametrize("count", [1, 60])
def test_the_number_of_requests_is_fixed(vhost: Vhost, monkeypatch: pytest.MonkeyPatch, count: int) -> None:
    declare(vhost, count)
    sent: Counter[str] = Counter()
    request = PooledHttp.request

    def counted(self: PooledHttp, method: str, path: str, **more: Any) -> Any:
        sent[path.partition("?")[0].replace(vhost.quoted, "{vhost}")] += 1
        return request(self, method, path, **more)

    monkeypatch.setattr(PooledHttp, "request", counted)
    facts = read(vhost)
    assert len(facts.actual.queues or ()) == count
    expected = {
        "overview", "whoami", f"permissions/{{vhost}}/{vhost.user}", "exchanges/{vhost}", "bindings/{vhost}",
        "consumers/{vhost}", "vhosts/{vhost}/connections", "vhosts/{vhost}/channels", "policies/{vhost}",
        "operator-policies/{vhost}", "vhosts", "vhost-limits/{vhost}", "health/checks/alarms", "nodes",
        "deprecated-features", "users", "vhosts/{vhost}/permissions",
        "exchanges",  # of all virtual hosts, as this one has nothing of Attune
    }  # fmt: skip
    if vhost.broker.version >= BEFORE_3_13:
        expected.add("deprecated-features/used")
    assert sent.pop("queues/{vhost}") == 2
    assert sent == Counter(expected)


def test_only_what_is_wanted_is_asked(vhost: Vhost) -> None:
    declare(vhost, 1)
    facts = read(vhost, {Source.BROKER}, listings={"bindings"})
    assert len(facts.actual.bindings or ()) == 1
    assert (facts.actual.queues, facts.actual.consumers, facts.reach[0].source) == (None, None, Source.MANAGEMENT)


def test_counts_are_live_and_a_young_queue_has_no_statistics(vhost: Vhost) -> None:
    with vhost.channel() as channel:
        for attempt in range(20):
            name = f"young-{attempt}"
            channel.queue_declare(name)
            for _ in range(5):
                channel.basic_publish("", name, b"x")
            young = queue(read(vhost, {Source.BROKER, Source.DEPTHS}), name)
            assert (young.messages, young.messages_ready, young.messages_unacknowledged) == (5, 5, 0)
            if young.consumers is None:
                break
        else:
            pytest.fail("no queue was ever too young for statistics")
        assert (young.memory, young.publish_rate, young.idle_since) == (None, None, None)
        old = eventually(lambda: (q := queue(read(vhost, {Source.BROKER}), name)).consumers is not None and q)
        assert old.consumers == 0
        assert old.memory > 0


def test_two_samples(vhost: Vhost) -> None:
    declare(vhost, 1)
    facts = read(vhost, {Source.BROKER, Source.DEPTHS}, samples=2, interval=0.1)
    assert Source.EARLIER not in facts.missing
    assert facts.earlier is not None
    assert facts.earlier.taken_at < facts.actual.taken_at
    assert [q.name for q in facts.earlier.queues or ()] == ["q0"]


def test_hostile_names(vhost: Vhost) -> None:
    names = [n for n in NAMES if n and "\n" not in n and "\r" not in n]
    made = set()
    with contextlib.ExitStack() as open_channels:
        for name in names:
            channel = open_channels.enter_context(vhost.channel())
            channel.queue_declare(name, exclusive=True)
            channel.queue_bind(name, "amq.direct", name)
            made.add(name)
        facts = read(vhost)
        management = open_management(settings(vhost), light=True)
        for name in names:
            found = management.queue(name)
            assert found is not None, name
            assert found.name == name
            assert [b.routing_key for b in management.bindings_of(name)] == [name]
        management.close()
    assert {q.name for q in facts.actual.queues or ()} == made
    assert {b.routing_key for b in facts.actual.bindings or ()} == made
    assert decode(encode(facts)) == facts


@pytest.mark.parametrize(
    ("tags", "lacks"),
    [
        ("monitoring", set()),
        ("management", {Source.CONNECTIONS, Source.CONSUMERS, Source.NODES}),
        ("policymaker", {Source.CONNECTIONS, Source.CONSUMERS, Source.NODES}),
    ],
)
def test_what_a_user_is_told(vhost: Vhost, user: Users, tags: str, lacks: set[Source]) -> None:
    declare(vhost, 2)
    lesser = user(vhost, tags=tags, configure="^$", write="^$", read="^$")
    with vhost.channel() as channel:
        channel.basic_consume("q0", lambda *_: None, consumer_tag="of-another-user")
        facts = eventually(lambda: (f := read(lesser)) and queue(f, "q0").consumers and f)
        management = open_management(settings(lesser), light=True)
        found = eventually(lambda: (q := management.queue("q0")) and q.consumer_details)
        management.close()
    # Asked for one queue, the API tells everybody its consumers.
    assert [c.consumer_tag for c in found] == ["of-another-user"]
    before = {Source.DEPRECATED} if vhost.broker.version < BEFORE_3_13 else set()
    assert set(facts.missing) - NO_REGISTRY - ELSEWHERE - before == lacks | {
        Source.PERMISSIONS,
        Source.USER_PERMISSIONS,
    }
    assert "does not have the administrator tag" in facts.missing[Source.PERMISSIONS]
    for source in lacks:
        assert f"user '{lesser.user}' has no monitoring tag" in facts.missing[source]
    assert len(facts.actual.queues or ()) == len(facts.actual.bindings or ()) == 2
    assert facts.actual.policies == ()
    assert facts.actual.alarms == ()
    reach = next(r for r in facts.reach if r.source is Source.MANAGEMENT)
    assert (reach.tags, reach.permissions) == ((tags,), None)


def test_a_user_of_another_virtual_host(vhost: Vhost, user: Users) -> None:
    """The plain list would be [], which looks like "no queues"; asked by virtual host it is a refusal."""
    declare(vhost, 1)
    facts = read(user(vhost, tags="monitoring", configure=None))
    assert "has no permissions in it" in facts.missing[Source.BROKER]
    assert "has no permissions there" in facts.missing[Source.AMQP]
    assert facts.missing[Source.DEPTHS] == facts.missing[Source.BROKER]
    assert facts.actual.queues is None
    assert facts.actual.nodes
    assert next(r for r in facts.reach if r.source is Source.AMQP).error == facts.missing[Source.AMQP]


def test_each_source_fails_alone(vhost: Vhost, user: Users) -> None:
    nobody = settings(user(vhost, tags=""), database_url="postgresql://u:secret-pw@127.0.0.1:1/x")
    facts = collect(nobody)
    assert Source.AMQP not in facts.missing
    assert "has no management tag" in facts.missing[Source.MANAGEMENT]
    assert facts.missing[Source.BROKER] == facts.missing[Source.NODES] == facts.missing[Source.MANAGEMENT]
    assert "connection refused" in facts.missing[Source.REGISTRY]
    assert facts.missing[Source.EXECUTIONS] == facts.missing[Source.REGISTRY]
    assert facts.broker is None
    assert "secret-pw" not in encode(facts).decode()
    assert "\n" not in "".join(facts.missing.values())


def test_registry(vhost: Vhost, database: str) -> None:
    facts = collect(settings(vhost, database_url=database), {Source.REGISTRY, Source.EXECUTIONS})
    assert facts.registry is not None
    assert (facts.registry.kind, facts.registry.workers, facts.registry.executions) == ("postgresql", (), ())
    (reach,) = facts.reach
    assert (reach.source, reach.error) == (Source.REGISTRY, None)
    assert reach.version is not None
    assert abs(reach.clock_offset_s or 0) < 5
    assert Source.REGISTRY not in facts.missing


def test_deprecated_features(vhost: Vhost) -> None:
    if vhost.broker.version < BEFORE_3_13:
        facts = read(vhost, {Source.DEPRECATED})
        assert "3.13 and later do" in facts.missing[Source.DEPRECATED]
        return
    with vhost.channel() as channel:
        channel.queue_declare("transient", durable=False)
        features = {f.name: f for f in read(vhost, {Source.DEPRECATED}).actual.deprecated or ()}
    assert features["transient_nonexcl_queues"].used
    told = vhost.broker.version >= (4, 3)
    assert (features["transient_nonexcl_queues"].state is not None) is told
