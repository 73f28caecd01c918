"""The doctor on 10,000 workers: against the bare HTTP answers it needs, rabbitmqctl's lists, and diagnosing alone."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import groupby

import msgspec
import pika
import requests

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import diagnose
from attune_ops.installation.config import Settings
from attune_ops.installation.pooled_http import PooledHttp
from attune_ops.installation.registry_write import register
from attune_ops.model.facts import Facts, decode, encode
from attune_ops.ops import Ops
from attune_ops.startup.steps import set_up
from benches import Result, Site, side_by_side

WORKERS, MORE = 10_000, 100_000
HTTP_LIMIT, LISTS_LIMIT = 1.15, 0.6
DIAGNOSING_MS, MORE_MS, LINEAR = 500.0, 2000.0, 1.4  # at ten times the size memory is slower, too
RUNS = 3
PART = 2_500  # workers in one import
LISTS = ("list_queues", "list_bindings", "list_consumers")


def measure(site: Site) -> Iterator[Result]:
    """January's topology with a consumer for each worker, so that everything is as it should be."""
    settings = site.settings(registry="many")
    with workers(settings, WORKERS):
        ops = Ops(settings)
        facts = settled(ops)
        bare = Answers(settings, ops.doctor)
        yield from whole(site, ops, bare, "10,000 workers")
        ours = took(lambda: ops.doctor())
    # Their connection is closed, and the queues went with their consumers. They are made again: nobody consumes.
    make_queues(settings, WORKERS)
    yield from whole(site, ops, without_consumers(ops, settings), "10,000 workers, none consumes")
    small = diagnosing(facts)
    yield Result("diagnosing alone, 10,000 workers", "the promised time", small, DIAGNOSING_MS, 1.0)
    large = diagnosing(multiplied(facts, MORE // WORKERS))
    yield Result("diagnosing alone, 100,000 workers", "the promised time", large, MORE_MS, 1.0)
    yield Result("diagnosing alone, 100,000 workers", "ten times that of 10,000", large, small * 10, LINEAR)
    for name, ms in parts(facts, ours).items():
        yield Result(f"of which {name}", "the whole doctor", ms, ours)


def whole(site: Site, ops: Ops, bare: Answers, name: str) -> Iterator[Result]:
    """The whole doctor against its bare answers, and against rabbitmqctl."""
    ours, http = side_by_side(lambda: took(lambda: ops.doctor()), lambda: took(bare.fetch), RUNS)
    yield Result(f"doctor, {name}", f"its {len(bare.asked)} bare HTTP answers", ours, http, HTTP_LIMIT, RUNS)
    slowest = max(bare.times, key=bare.times.__getitem__)
    yield Result(f"the slowest of these answers, {slowest}", "all of them", bare.times[slowest], http)
    vhost = bare.settings.vhost
    both = lambda: took(lambda: [site.lab.ctl(name, "-p", vhost, timeout=600) for name in LISTS])  # noqa: E731
    ours, lists = side_by_side(lambda: took(lambda: ops.doctor()), both, RUNS)
    yield Result(f"doctor, {name}", f"rabbitmqctl {', '.join(LISTS)}", ours, lists, LISTS_LIMIT, RUNS)
    cost = lambda act: spent_by_broker(site, act)  # noqa: E731
    ours, lists = side_by_side(lambda: cost(lambda: ops.doctor()), lambda: cost(both), RUNS)
    yield Result(f"the broker's processor time for a doctor, {name}", "for these three lists", ours, lists, runs=RUNS)


def without_consumers(ops: Ops, settings: Settings) -> Answers:
    """The bare answers once the doctor finds that no worker consumes."""
    beat(settings)
    until = time.monotonic() + 300
    while True:
        report = ops.doctor()
        if any(f.code == "AT403" and len(f.subjects) == WORKERS for f in report.findings):
            break
        assert time.monotonic() < until, (report.verdict, report.facts.missing)
        time.sleep(3)
    return Answers(settings, ops.doctor)


def spent_by_broker(site: Site, act: Callable[[], object]) -> float:
    """The processor time that the broker takes meanwhile, its work in the background included."""
    before = site.broker_ms()
    act()
    return site.broker_ms() - before


def took(act: Callable[[], object]) -> float:
    """The ms until the result is there; that it is freed afterwards does not count."""
    began = time.perf_counter()
    result = act()
    ms = (time.perf_counter() - began) * 1000
    del result
    return ms


@contextmanager
def workers(settings: Settings, count: int) -> Iterator[None]:
    """Registers workers, and gives each its queue by an import of definitions and its consumer on one channel."""
    topology, vhost = settings.topology, settings.vhost
    assert settings.database is not None
    register(settings.database, "w1")
    now = datetime.now(UTC).isoformat()
    with sqlite3.connect(settings.database.file) as connection:
        rows = [(i, f"w{i}", "active", now) for i in range(2, count + 1)]
        connection.executemany("INSERT INTO worker (id, name, status, last_heartbeat) VALUES (?, ?, ?, ?)", rows)
        connection.execute("UPDATE worker SET last_heartbeat = ?", (now,))
    amqp = settings.amqp
    login = pika.PlainCredentials(amqp.user, amqp.password.reveal())
    broker = pika.BlockingConnection(pika.ConnectionParameters(amqp.host, amqp.port, vhost, login, heartbeat=0))
    try:
        channel = broker.channel()
        set_up(channel, topology)
        make_queues(settings, count)
        base = {q.name for q in topology.base_queues}
        consumers = [c for c in topology.consumers if c.queue in base]
        consumers += [c for i in range(1, count + 1) for c in topology.worker_consumers(i)]
        consumers.sort(key=lambda c: c.prefetch_at(8))  # so that each prefetch is set once
        for prefetch, alike in groupby(consumers, lambda c: c.prefetch_at(8)):
            channel.basic_qos(prefetch_count=prefetch)
            for consumer in alike:
                channel.basic_consume(consumer.queue, lambda *_: None, consumer_tag=consumer.tag)
        yield
    finally:
        with suppress(pika.exceptions.AMQPError):  # a broker under load may reset it before all are cancelled
            broker.close()  # and every worker's queue goes with its consumer


def beat(settings: Settings, ahead: timedelta = timedelta(minutes=10)) -> None:
    """Heartbeats of workers that were registered long ago; `ahead` of time they stay fresh, and AT107 says so."""
    assert settings.database is not None
    now = datetime.now(UTC)
    with sqlite3.connect(settings.database.file) as connection:
        times = ((now + ahead).isoformat(), (now - timedelta(days=9)).isoformat())
        connection.execute("UPDATE worker SET last_heartbeat = ?, created = ?", times)


def make_queues(settings: Settings, count: int) -> None:
    """Imports the definitions of this many workers in parts: the broker refuses a body of more than 10 MB."""
    for first in range(1, count + 1, PART):
        post(settings, definitions(settings, range(first, min(first + PART, count + 1))))


def definitions(settings: Settings, ids: range) -> dict[str, object]:
    topology, vhost = settings.topology, settings.vhost
    return {
        "queues": [
            {"name": q.name, "vhost": vhost, "durable": q.durable, "auto_delete": q.auto_delete,
             "arguments": q.arguments}
            for q in (*topology.base_queues, *(q for i in ids for q in topology.worker_queues(i)))
        ],
        "bindings": [
            {"source": b.source, "vhost": vhost, "destination": b.destination, "destination_type": b.destination_kind,
             "routing_key": b.routing_key, "arguments": {}}
            for b in (*topology.base_bindings, *(b for i in ids for b in topology.worker_bindings(i)))
        ],
    }  # fmt: skip


def post(settings: Settings, body: dict[str, object]) -> None:
    end = settings.management
    answer = requests.post(
        f"http://{end.address}/api/definitions", json=body, auth=(end.user, end.password.reveal()), timeout=300
    )
    answer.raise_for_status()


def settled(ops: Ops) -> Facts:
    """The facts once statistics tell every consumer: before that a doctor counts some over AMQP."""
    every = WORKERS * len(ops.settings.topology.worker_consumers(1))
    until = time.monotonic() + 300
    while True:
        report = ops.doctor()
        if len(report.facts.actual.consumers or ()) >= every:
            return report.facts
        assert time.monotonic() < until, (report.verdict, report.facts.missing)
        time.sleep(3)


@dataclass
class Answers:
    """The HTTP answers that a way of reading needs, fetched as bare bytes, as many side by side.

    `times` has the ms of each in the last turn.
    """

    settings: Settings
    read: Callable[[], object]
    asked: list[str] = field(default_factory=list)
    times: dict[str, float] = field(default_factory=dict)

    def __post_init__(self) -> None:
        request, asked = PooledHttp.request, self.asked

        def noted(self: PooledHttp, method: str, path: str, *more: object, **options: object) -> object:
            asked.append(path)
            return request(self, method, path, *more, **options)  # type: ignore[arg-type]

        PooledHttp.request = noted  # type: ignore[assignment]
        try:
            self.read()
        finally:
            PooledHttp.request = request  # type: ignore[method-assign]

    def fetch(self) -> None:
        from concurrent.futures import ThreadPoolExecutor

        end = self.settings.management
        session = requests.Session()
        session.auth = (end.user, end.password.reveal())

        def one(path: str) -> None:
            self.times[path] = took(lambda: session.get(f"http://{end.address}/api/{path}", timeout=300).content)

        with ThreadPoolExecutor(4) as pool:
            list(pool.map(one, self.asked))
        session.close()


def diagnosing(facts: Facts) -> float:
    """Processor time, the shortest of three, each on facts that nothing has been looked up in yet."""
    data, times = encode(facts), []
    for _ in range(RUNS):
        fresh = decode(data)
        began = time.process_time()
        diagnose(fresh)
        times.append((time.process_time() - began) * 1000)
    return min(times)


def multiplied(facts: Facts, times: int) -> Facts:
    """The facts with as many times the workers, each with its queue, binding and consumer."""
    topology, registry, broker = facts.topology, facts.registry, facts.actual
    assert registry is not None
    last = max(w.id for w in registry.workers)
    ids = range(last + 1, last * times + 1)
    worker, queue, binding, consumer = (
        registry.workers[0], broker.queues[-1], broker.bindings[-1], broker.consumers[-1],  # type: ignore[index]
    )  # fmt: skip
    replace = msgspec.structs.replace
    queues = (replace(queue, name=q.name) for i in ids for q in topology.worker_queues(i))
    bindings = (
        replace(binding, source=b.source, destination=b.destination, routing_key=b.routing_key, properties_key="")
        for i in ids
        for b in topology.worker_bindings(i)
    )
    consumers = (replace(consumer, queue=c.queue, tag=c.tag) for i in ids for c in topology.worker_consumers(i))
    seen = replace(
        broker,
        queues=(*(broker.queues or ()), *queues),
        bindings=(*(broker.bindings or ()), *bindings),
        consumers=(*(broker.consumers or ()), *consumers),
    )
    workers = (*registry.workers, *(replace(worker, id=i, name=f"w{i}") for i in ids))
    return replace(facts, broker=seen, registry=replace(registry, workers=workers))


def parts(facts: Facts, whole: float) -> dict[str, float]:
    """What the time of a doctor goes into: reading, and the three slowest checks."""
    report = diagnose(decode(encode(facts)), all_checks(), clock=time.perf_counter)
    slowest = sorted(report.results, key=lambda r: -r.duration_ms)[:3]
    return {
        "reading and decoding": whole - report.duration_ms,
        "diagnosing": report.duration_ms,
        **{f"{r.code} {r.check} (and the look-ups it is the first to need)": r.duration_ms for r in slowest},
    }
