"""Ways to break an installation on the real broker, what the doctor must find of each, and what that prints."""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import NamedTuple

import pika

from attune_ops.installation import amqp_write as act
from attune_ops.model.startup_progress import Step
from attune_ops.model.topology import Binding, Exchange, Queue, binding_name
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.world import eventually

EVENTS, EXECUTIONS, NOTIFICATIONS = "attune.events.queue", "attune.executions.queue", "attune.notifications.queue"
W1, W2, W3 = (f"worker.{i}.executions" for i in (1, 2, 3))
LONG = {"max-length": 100_000, "overflow": "reject-publish"}  # loses nothing
DLX = {"x-dead-letter-exchange": "attune.dlx"}


class State(NamedTuple):
    """A way to break a place, all that the doctor must find of severity error and of warning, and what that prints.

    `prints` are a check's code and the command that it prints ("AT204 topology apply"). With `only` one check is
    asked alone, so that what it finds is no consequence of another's.
    """

    breaks: Callable[[Place], None]
    errors: Collection[tuple[str, str]] = ()
    warnings: Collection[tuple[str, str]] = ()
    prints: Collection[str] = ()
    only: tuple[str, ...] = ()
    topology: str = JANUARY


def worker_binding(key: str = "worker.1") -> Binding:
    return Binding("attune.executions", W1, key)


def missing_queue(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{EXECUTIONS}")


def missing_worker_queue(p: Place) -> None:
    p.vhost.api("DELETE", f"queues/{{vhost}}/{W1}")


def incident(p: Place) -> None:
    p.start("worker", "w3", ok=False, skip={Step.DECLARE, Step.BIND}).disconnect()


def wrong_key(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, worker_binding())
        act.bind(channel, worker_binding("worker.l"))


def lost_worker_bindings(p: Place) -> None:
    p.start("worker", "w3")
    with p.vhost.channel() as channel:
        for i in (1, 2, 3):
            act.unbind(channel, Binding("attune.executions", f"worker.{i}.executions", f"worker.{i}"))


def lost_binding(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, Binding("attune.executions", EXECUTIONS, "execution"))


def wrong_base_key(p: Place) -> None:
    lost_binding(p)
    bound(p, "attune.executions", EXECUTIONS, "executoin")


def lost_exchange(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.executions")


def wrong_type(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.notifications")
        act.declare_exchange(channel, Exchange("attune.notifications", "direct"))
        act.bind(channel, Binding("attune.notifications", NOTIFICATIONS, ""))


def wrong_argument(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_queue(channel, NOTIFICATIONS)
        act.declare_queue(channel, Queue(NOTIFICATIONS))
        act.bind(channel, Binding("attune.notifications", NOTIFICATIONS, ""))


def hiding_policy(p: Place) -> None:
    p.vhost.api("PUT", "policies/{vhost}/ttl", {"pattern": "^attune", "definition": {"message-ttl": 60_000}})
    p.vhost.api("PUT", "policies/{vhost}/cap", {"pattern": "", "priority": 9, "definition": dict(LONG)})


def orphan(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.declare_queue(channel, Queue("worker.99.executions", durable=False, auto_delete=True))
        act.bind(channel, Binding("attune.executions", "worker.99.executions", "worker.99"))
    p.publish("attune.executions", "worker.99", 2)


def nobody_reads(p: Place) -> None:
    p.services["executor"].disconnect()
    p.publish("attune.executions", "execution", 3)


def held(p: Place) -> None:
    p.judged(held_s=1)
    p.publish("attune.executions", "worker.1", 2)


def stuck(p: Place) -> None:
    p.judged(stuck_consumer_s=1, stuck_worker_s=1)
    p.publish("attune.executions", "worker.1", 14)


def two_processes(p: Place) -> None:
    p.start("worker", "w1")


def died(p: Place) -> None:
    p.services["w2"].disconnect()
    p.sql("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00' WHERE id = 2")


def heartbeat_lost(p: Place) -> None:
    p.sql("UPDATE worker SET last_heartbeat = '2026-01-01 00:00:00' WHERE id = 2")


def stops_before_consume(p: Place) -> None:
    p.start("worker", "w3", skip={Step.CONSUME})


def dead_letter_loop(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.bind(channel, Binding("attune.dlx", EVENTS, "event.created"))


def other_release(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.declare_queue(channel, Queue("attune.enforcements.queue", arguments=dict(DLX)))
        act.bind(channel, Binding("attune.executions", "attune.enforcements.queue", "enforcement"))


def small_prefetch(p: Place) -> None:
    p.start("worker", "w3", prefetch=1)


def unconsumed(p: Place) -> None:
    worker = p.services["w1"]
    act.cancel(worker.state.consumers[0].channel, worker.state.consumers[0].tag)


def stopped_worker(p: Place) -> None:
    p.services["w2"].stop()
    p.publish("attune.events", "pack.registered", 2)


def bound(p: Place, source: str, destination: str, key: str) -> None:
    with p.vhost.channel() as channel:
        act.bind(channel, Binding(source, destination, key))


def literal_wildcard(p: Place) -> None:
    bound(p, "attune.executions", EVENTS, "execution.#")


def foreign_wildcard(p: Place) -> None:
    with p.vhost.channel() as channel:
        channel.exchange_declare("theirs", "direct")
        channel.queue_declare("their queue")
        act.bind(channel, Binding("theirs", "their queue", "a.#"))


def idle_exchange(p: Place) -> None:
    with p.vhost.channel() as channel:
        channel.exchange_declare("theirs", "topic")


def leftover_exchange(p: Place) -> None:
    with p.vhost.channel() as channel:
        channel.exchange_declare("attune.metadata", "topic", durable=True)
        act.bind(channel, Binding("attune.metadata", NOTIFICATIONS, ""))


def policy(p: Place, name: str, pattern: str, **definition: object) -> None:
    values = {key.replace("_", "-"): value for key, value in definition.items()}
    p.vhost.api("PUT", f"policies/{{vhost}}/{name}", {"pattern": pattern, "definition": values})


def not_for_classic(p: Place) -> None:
    policy(p, "limit", "^attune.events", delivery_limit=5, message_ttl=60_000)


def shorter_ttl(p: Place) -> None:
    policy(p, "short", r"^worker\.", message_ttl=1000)


def cap(p: Place) -> None:
    policy(p, "cap", "^attune.events", max_length=1000)


def few(p: Place) -> None:
    policy(p, "few", "^attune.executions", max_length=3)


def full(p: Place) -> None:
    policy(p, "full", r"^worker\.", max_length=12, overflow="reject-publish", queue_mode="lazy")
    p.publish("attune.executions", "worker.1", 10)  # the worker holds them
    eventually_held(p, W1, 10)
    p.publish("attune.executions", "worker.1", 12)


def eventually_held(p: Place, queue: str, count: int) -> None:
    """Waits until the queue's consumer holds that many messages."""

    def held() -> bool:
        listed = p.vhost.api("GET", "queues/{vhost}?disable_stats=true&enable_queue_totals=true").json()
        return bool(next(q["messages_unacknowledged"] for q in listed if q["name"] == queue) == count)

    eventually(held)


def full_prefetch(p: Place) -> None:
    """The worker holds its prefetch and acknowledges nothing: what is published now waits longer than the TTL."""
    policy(p, "hasty", r"^worker\.", message_ttl=2000)
    p.publish("attune.executions", "worker.1", 14)


def expires_early(p: Place) -> None:
    policy(p, "gone", r"^worker\.", expires=120_000)


def harmless(p: Place) -> None:
    """Limits that drop nothing confirmed, or only where nobody reads."""
    policy(p, "a", "^attune.executions", max_length=100_000, overflow="reject-publish")
    policy(p, "b", r"^worker\.", expires=1_800_000)
    policy(p, "c", "^attune.events", max_length=1000, message_ttl=86_400_000)
    policy(p, "d", "^attune.notifications", queue_mode="lazy")


def half_bound(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.unbind(channel, Binding("attune.events", "attune.executor.events.queue", "event.created"))


def tapped(p: Place, name: str = "it's a [tap]/") -> None:
    with p.vhost.channel() as channel:
        channel.queue_declare(name)
        act.bind(channel, Binding("attune.events", name, "event.*"))
        act.declare_exchange(channel, Exchange("theirs", "headers"))
        act.bind(channel, Binding("attune.events", "theirs", "#", "exchange"))
        act.bind(channel, Binding("theirs", name, "", arguments={"x-match": "any", "n": 1}))


def lost_dead_letters(p: Place) -> None:
    with p.vhost.channel() as channel:
        act.delete_exchange(channel, "attune.dlx")


def graveyard(p: Place) -> None:
    with p.vhost.channel() as channel:
        channel.queue_declare("graveyard")
        act.bind(channel, Binding("attune.dlx", "graveyard", "event.created"))


def executor_down(p: Place) -> None:
    p.services["executor"].disconnect()


def dead_letters_wait(p: Place) -> None:
    executor_down(p)
    p.publish("attune.dlx", "#", 1)


def stopped_but_consuming(p: Place) -> None:
    p.sql("UPDATE worker SET status = 'inactive' WHERE id = 2")


def cordoned(p: Place) -> None:
    p.sql("UPDATE worker SET cordoned = 1, cordon_reason = 'disk' WHERE id = 1")


def all_cordoned(p: Place) -> None:
    p.sql("UPDATE worker SET cordoned = 1, cordon_reason = 'disk'")


def starts_slowly(p: Place) -> None:
    stops_before_consume(p)
    p.sql("UPDATE worker SET created = last_heartbeat WHERE id = 3")


def starts_too_slowly(p: Place) -> None:
    """The executor has set it inactive, as after a crash."""
    starts_slowly(p)
    p.services["w3"].disconnect()
    p.sql(
        "UPDATE worker SET status = 'inactive', created = datetime('now', '-4 minutes'), "
        "last_heartbeat = datetime('now', '-4 minutes'), updated = datetime('now', '-2 minutes') WHERE id = 3"
    )


def stale_sensor(p: Place) -> None:
    p.sql(
        "INSERT INTO worker (name, worker_role, status, last_heartbeat) "
        "VALUES ('s1', 'sensor', 'active', '2026-01-01 00:00:00')"
    )


def stuck_executions(p: Place) -> None:
    p.sql("CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, updated TEXT)")
    for number, (status, worker) in enumerate((("scheduled", 1), ("running", 9)), 1):
        p.sql(f"INSERT INTO execution VALUES ({number}, 'a', '{status}', {worker}, '2026-01-01 00:00:00')")


def catch_all_fills(p: Place) -> None:
    with p.vhost.channel() as channel:
        channel.basic_publish("attune.events", "event.created", b"{}", pika.BasicProperties(timestamp=1_700_000_000))


def much_waits(p: Place) -> None:
    p.judged(backlog=1)
    p.publish("attune.executions", "worker.1", 14)


STATES = {
    "missing queue": State(missing_queue, {("AT202", EXECUTIONS)}, prints={"AT202 topology apply"}),
    "missing worker queue": State(missing_worker_queue, {("AT401", W1)}, prints={"AT401 workers"}),
    "the incident": State(incident, {("AT401", W3)}, prints={"AT401 workers"}),
    "wrong key": State(
        wrong_key,
        {("AT402", binding_name("attune.executions", W1, "worker.1"))},
        prints={"AT402 topology unbind", "AT402 topology bind"},
    ),
    "lost worker bindings": State(
        lost_worker_bindings,
        {("AT402", binding_name("attune.executions", W1, "worker.1"))},
        prints={"AT402 topology apply"},
    ),
    "lost binding": State(
        lost_binding,
        {("AT204", binding_name("attune.executions", EXECUTIONS, "execution"))},
        prints={"AT204 topology apply"},
    ),
    "wrong base key": State(
        wrong_base_key,
        {("AT204", binding_name("attune.executions", EXECUTIONS, "execution"))},
        prints={"AT204 topology bind", "AT204 topology unbind"},
    ),
    "lost exchange": State(lost_exchange, {("AT201", "attune.executions")}, prints={"AT201 topology apply"}),
    "wrong type": State(wrong_type, {("AT205", "attune.notifications")}, prints={"AT205 topology diff"}),
    "wrong argument": State(wrong_argument, {("AT206", NOTIFICATIONS)}, prints={"AT206 topology diff"}),
    "one binding more": State(
        lambda p: bound(p, "attune.events", EXECUTIONS, "rule.*"),
        warnings={("AT207", binding_name("attune.events", EXECUTIONS, "rule.*"))},
        prints={"AT207 topology unbind"},
    ),
    "literal wildcard": State(
        literal_wildcard,
        warnings={("AT208", binding_name("attune.executions", EVENTS, "execution.#"))},
        prints={"AT208 topology unbind"},
    ),
    "foreign wildcard": State(foreign_wildcard, prints={"AT208 exchanges"}),
    "idle exchange": State(idle_exchange, prints={"AT209 exchanges"}),
    "hiding policy": State(hiding_policy, warnings={("AT211", "cap")}, prints={"AT211 policy show"}),
    "policy for others": State(not_for_classic, warnings={("AT212", "limit")}, prints={"AT212 policy show"}),
    "shorter ttl": State(
        shorter_ttl, warnings={("AT203", "short")}, prints={"AT203 policy show"}, topology=SEPTEMBER, only=("AT203",)
    ),
    "a ttl": State(
        shorter_ttl,
        warnings={("AT215", "short")},
        prints={"AT215 policy remove", "AT215 policy show"},
        topology=SEPTEMBER,
    ),
    "few": State(few, {("AT215", "few")}, prints={"AT215 policy remove"}),
    "full": State(full, {("AT215", "full")}, prints={"AT215 policy apply"}, only=("AT215",)),
    "full prefetch": State(full_prefetch, {("AT215", "hasty")}, prints={"AT215 policy remove"}, only=("AT215",)),
    "expires early": State(expires_early, {("AT215", "gone")}, prints={"AT215 policy remove"}),
    "harmless": State(harmless),
    "capped": State(cap, prints={"AT213 policy show"}),
    "dropped": State(wrong_key, {("AT301", "attune.executions worker.1")}, prints={"AT301 route"}, only=("AT301",)),
    "half bound": State(
        half_bound,
        {("AT302", "attune.events event.created")},
        prints={"AT302 route"},
        only=("AT302",),
        topology=SEPTEMBER,
    ),
    "tapped": State(tapped, prints={"AT303 topology unbind"}),
    "unread": State(nobody_reads, {("AT304", EXECUTIONS)}, prints={"AT304 consumers"}, only=("AT304",)),
    "lost dead letters": State(
        lost_dead_letters,
        warnings={("AT305", "attune.dlx")},
        prints={"AT305 route"},
        only=("AT305",),
        topology=SEPTEMBER,
    ),
    "dead-letter loop": State(
        dead_letter_loop,
        warnings={("AT207", binding_name("attune.dlx", EVENTS, "event.created"))},
        prints={"AT207 topology unbind"},
    ),
    "dead-letter circle": State(
        dead_letter_loop, warnings={("AT306", EVENTS)}, prints={"AT306 route"}, only=("AT306",)
    ),
    "graveyard": State(graveyard, prints={"AT307 queues"}),
    "stops before consume": State(stops_before_consume, {("AT403", W3)}, prints={"AT403 consumers"}),
    "two processes": State(two_processes, {("AT404", "w1")}, prints={"AT404 consumers"}),
    "nobody reads": State(nobody_reads, {("AT405", EXECUTIONS)}, prints={"AT405 consumers"}),
    "executor down": State(executor_down, {("AT405", "executor")}, prints={"AT405 queues"}, topology=SEPTEMBER),
    "small prefetch": State(small_prefetch, warnings={("AT406", "worker-3")}, prints={"AT406 consumers"}),
    "stopped worker": State(
        stopped_worker,
        {("AT407", "worker.2.executions")},
        prints={"AT407 reap"},
        topology=SEPTEMBER,
    ),
    "stopped but consuming": State(stopped_but_consuming, warnings={("AT407", W2)}, prints={"AT407 consumers"}),
    "orphan": State(orphan, {("AT408", "worker.99.executions")}, prints={"AT408 reap", "AT408 queues"}),
    "orphan alone": State(
        orphan, {("AT501", "worker.99.executions")}, prints={"AT501 reap", "AT501 queues"}, only=("AT501",)
    ),
    "died": State(died, {("AT409", "w2")}, prints={"AT409 retire"}),
    "heartbeat lost": State(heartbeat_lost, warnings={("AT410", "w2")}, prints={"AT410 workers"}),
    "cordoned": State(cordoned, prints={"AT411 workers"}),
    "all cordoned": State(all_cordoned, {("AT416", "w1")}, prints={"AT416 workers"}),
    "starts slowly": State(starts_slowly, prints={"AT415 workers"}),
    "starts too slowly": State(starts_too_slowly, prints={"AT415 workers"}, topology=SEPTEMBER),
    "stale sensor": State(stale_sensor, warnings={("AT409", "s1")}, prints={"AT409 workers"}),
    "other release": State(other_release, warnings={("AT412", "attune.enforcements.queue")}, prints={"AT412 queues"}),
    "leftover exchange": State(
        leftover_exchange, warnings={("AT412", "attune.metadata")}, prints={"AT412 exchanges"}, only=("AT412",)
    ),
    "stuck executions": State(
        stuck_executions,
        {("AT413", "1"), ("AT414", "2")},
        prints={"AT413 consumers", "AT414 workers"},
    ),
    "catch-all fills": State(catch_all_fills, warnings={("AT501", EVENTS)}, only=("AT501",)),
    "held": State(held, warnings={("AT502", W1)}, prints={"AT502 consumers"}),
    "unconsumed": State(unconsumed, {("AT503", "worker-1")}, prints={"AT503 consumers"}, topology=SEPTEMBER),
    "stuck": State(stuck, {("AT505", W1)}, prints={"AT505 consumers"}),
    "old message": State(catch_all_fills, warnings={("AT508", EVENTS)}, prints={"AT508 consumers"}, only=("AT508",)),
    "dead letters wait": State(
        dead_letters_wait,
        warnings={("AT510", "attune.dlx.queue")},
        prints={"AT510 messages peek"},
        only=("AT510",),
        topology=SEPTEMBER,
    ),
    "much waits": State(much_waits, warnings={("AT511", W1)}, prints={"AT511 doctor"}, only=("AT511",)),
}
