"""The shorter reading that the doctor uses for many queues: the same facts, as many requests."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import msgspec
import pytest

from attune_ops.cli._main import main
from attune_ops.installation import amqp_write as act
from attune_ops.installation import broker_reading as reading
from attune_ops.model.facts import Facts
from attune_ops.model.topology import Binding, Exchange
from attune_ops.ops import Ops
from tests.live.places import SEPTEMBER, Place
from tests.world import eventually

MANY = 3000
STATISTICS = ("node", "state", "effective_policy", "message_bytes", "memory", "head_message_timestamp", "idle_since",
              "publish_rate", "deliver_rate", "ack_rate", "redeliver_rate", "consumed", "published")  # fmt: skip
OF_CONSUMERS = ("ack_required", "exclusive", "active", "activity_status")  # which no check asks for


def told(facts: Facts) -> dict[str, Any]:
    """What both ways of reading must tell alike: everything but statistics of queues, and what no check asks for."""
    seen = facts.actual
    bare, unasked = dict.fromkeys(STATISTICS), dict.fromkeys(OF_CONSUMERS)
    return {
        "bindings": sorted(map(repr, seen.bindings or ())),
        "consumers": sorted(repr(msgspec.structs.replace(c, **unasked)) for c in seen.consumers or ()),
        "queues": sorted(repr(msgspec.structs.replace(q, **bare)) for q in seen.queues or ()),
        "exchanges": sorted((e.name, e.type, repr(e.arguments)) for e in seen.exchanges or ()),
        "policies": seen.policies,
        "connections": sorted(c.name for c in seen.connections or ()),
        "missing": facts.missing,
    }


def test_reading_in_short_tells_the_same(place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch) -> None:
    p = place(SEPTEMBER).populate()
    p.vhost.api("PUT", "policies/{vhost}/cap", {"pattern": "^attune", "definition": {"max-length": 1000}})
    with p.vhost.channel() as channel:
        act.declare_exchange(channel, Exchange("theirs", "headers"))
        channel.queue_declare("shop / ü")
        act.bind(channel, Binding("theirs", "shop / ü", "", arguments={"x-match": "any", "n": 1}))
        act.bind(channel, Binding("attune.events", "theirs", "a.#", "exchange"))
        channel.basic_consume("shop / ü", lambda *_: None, consumer_tag="shop")
        p.publish("attune.events", "pack.registered", 3)
        ops = Ops(p.settings)
        eventually(lambda: "shop" in [c.tag for c in ops.facts().actual.consumers or ()], within=40)

        def differences() -> dict[str, Any]:
            long = ops.facts()
            with monkeypatch.context() as patched:
                patched.setattr(reading, "MANY_QUEUES", 0)
                short = ops.facts(skip_worker_statistics=True)
            assert short.actual.statistics_left_out == 8
            told_long, told_short = told(long), told(short)
            return {k: (v, told_short[k]) for k, v in told_long.items() if v != told_short[k]}

        eventually(lambda: not differences(), within=45, every=1)


@pytest.mark.slow
def test_as_many_requests_for_many_queues(
    place: Callable[..., Place], asked: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = place().populate()
    with monkeypatch.context() as patched:
        patched.setattr(reading, "MANY_QUEUES", 0)
        p.look()
    few = sorted(asked)
    names = [f"worker.{i}.executions" for i in range(100, 100 + MANY)]
    kind = {"vhost": p.vhost.name, "durable": False, "auto_delete": True, "arguments": {}}
    for i in range(0, MANY, 500):
        p.vhost.api("POST", "definitions", {"queues": [{"name": name, **kind} for name in names[i : i + 500]]})
    eventually(lambda: p.vhost.api("GET", "overview").json()["object_totals"]["queues"] > MANY)
    asked.clear()
    seen = p.look().facts.actual
    assert len(seen.queues or ()) > MANY
    assert seen.statistics_left_out > MANY
    assert sorted(asked) == few


@pytest.mark.parametrize("form", ["--lines", "--json-lines"])
def test_watch_reads_no_statistics_of_worker_queues(
    place: Callable[..., Place],
    asked: list[str],
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    form: str,
) -> None:
    p = place().populate()
    target = ["--amqp-url", p.vhost.amqp_url, "--management-url", p.vhost.management_url, "--database-url", p.database]

    def line(many: int) -> str:
        asked.clear()
        monkeypatch.setattr(reading, "MANY_QUEUES", many)
        assert main(["watch", form, "--interval", "1s", "--for", "0.1s", *target]) == 0
        return re.sub(r"\d\d:\d\d:\d\d[.\d]*Z", "", capsys.readouterr().out.splitlines()[0])

    def alike() -> bool:
        whole = line(10**6)
        assert any("idle_since" in path and "use_regex" not in path for path in asked), asked
        short = line(0)
        assert not any("idle_since" in path and "use_regex" not in path for path in asked), asked
        return short == whole

    eventually(alike, within=45, every=1)
