"""Single rules, each beside the broker's own answer: what random worlds meet too rarely, or cannot say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from attune_ops.routing import Router
from tests.live.routing.test_routing_differential import read
from tests.routing_world import World
from tests.unit.routing.build import bind, exchange, queue
from tests.world import Run, Vhost, eventually

VALUES: tuple[Any, ...] = (
    1, 1.0, 1.5, "1", "1.0", True, False, "true", 0, "", [1], [1.0], ["v", "w"], ["w", "v"], {"k": 1}, {"k": "1"},
    {"k": "v", "l": "w"}, {"l": "w", "k": "v"}, {}, [], 2**40, -3, 1e300, [["v"]], [{"k": "v"}],
    [[]], [{}], {"k": []}, {"k": {}},
)  # fmt: skip


def build(vhost: Vhost, *objects: Any) -> Router:
    """Makes these on the broker and returns the simulator over them."""
    exchanges, queues, bindings = (
        tuple(o for o in objects if type(o).__name__ == kind)
        for kind in ("ExchangeState", "QueueState", "BindingState")
    )
    world = World(exchanges, queues, bindings)
    vhost.api("POST", "definitions/{vhost}", world.definitions())
    return world.router(".".join(map(str, vhost.broker.version)))


def publish_as_json(vhost: Vhost, exchange: str, headers: dict[str, Any]) -> None:
    body = {"properties": {"headers": headers}, "routing_key": "", "payload": "1", "payload_encoding": "string"}
    vhost.api("POST", f"exchanges/{{vhost}}/{exchange}/publish", body)


def test_every_value_against_every_other(vhost: Vhost) -> None:
    """Fractions too, which pika cannot send: up to 3.12 an integer equals one."""
    names = [f"q{i}" for i in range(len(VALUES))]
    bound = [bind("h", n, arguments={"v": value}) for n, value in zip(names, VALUES, strict=True)]
    router = build(vhost, exchange("h", "headers"), *map(queue, names), *bound)
    with vhost.channel() as channel:
        for value in VALUES:
            publish_as_json(vhost, "h", {"v": value})
            told = list(router.route("h", "", {"v": value}).queues)
            assert read(channel, names).get(1, []) == told, f"value {value!r}"


@pytest.mark.parametrize(
    ("name", "headers"),
    [("gone", {}), ("inner", {}), ("open", {"CC": "text"}), ("open", {"BCC": True}), ("open", {"CC": {}})],
)
def test_refusals_are_in_the_broker_s_words(vhost: Vhost, name: str, headers: dict[str, Any]) -> None:
    from pika import BasicProperties
    from pika.exceptions import ChannelClosedByBroker

    router = build(vhost, exchange("inner", "fanout", internal=True), exchange("open", "fanout"))
    error = router.route(name, "k", headers).error
    assert error is not None
    with vhost.channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        channel.basic_publish(name, "k", b"", BasicProperties(headers=headers))
    assert refused.value.reply_code == error.code
    assert refused.value.reply_text == error.text.replace("vhost 'v'", f"vhost '{vhost.name}'")


def test_delivery_limit(vhost: Vhost) -> None:
    limited = queue(
        "limited", type="quorum",
        arguments={"x-queue-type": "quorum", "x-delivery-limit": 1, "x-dead-letter-exchange": "dlx"},
    )  # fmt: skip
    world = (exchange("dlx", "headers"), limited, queue("grave"), queue("other"))
    by_reason = {"x-match": "all-with-x", "x-first-death-reason": "delivery_limit"}
    router = build(vhost, *world, bind("dlx", "grave", arguments=by_reason), bind("dlx", "other", arguments={"a": 1}))
    with vhost.channel() as channel:
        channel.basic_publish("", "limited", b"1")
        for _ in range(2):
            got = eventually(lambda: (found := channel.basic_get("limited"))[0] and found)
            channel.basic_reject(got[0].delivery_tag, requeue=True)  # a nack does not count on 4.3
        told = router.dead_letter("limited", "delivery_limit", "limited").queues
        eventually(lambda: channel.queue_declare("grave", passive=True).method.message_count)
        assert tuple(read(channel, ["grave", "other"])[1]) == told == ("grave",)


def test_a_history_that_a_client_brings(vhost: Vhost) -> None:
    """Up to 3.13 it counts, from 4.0 on it does not."""
    from pika import BasicProperties

    dying = queue("dying", arguments={"x-dead-letter-exchange": "dlx"})
    world = (exchange("dlx", "fanout"), dying, queue("again"), queue("witness"))
    router = build(vhost, *world, bind("dlx", "again"), bind("dlx", "witness"))
    headers = {"x-death": [{"queue": "again", "reason": "expired", "count": 1}]}
    with vhost.channel() as channel:
        channel.basic_publish("", "dying", b"1", BasicProperties(headers=headers, expiration="0"))
        eventually(lambda: channel.queue_declare("witness", passive=True).method.message_count)
        told = list(router.dead_letter("dying", "expired", "dying", headers).queues)
        assert read(channel, ["again", "witness"])[1] == told
    assert ("again" in told) is (vhost.broker.version >= (4, 0))


def test_a_stream_dead_letters_nothing_and_takes_what_is_routed(vhost: Vhost) -> None:
    stream = queue("stream", type="stream", arguments={"x-queue-type": "stream"})
    router = build(vhost, exchange("x", "fanout"), stream, bind("x", "stream"))
    with vhost.channel() as channel:
        channel.basic_publish("x", "k", b"1", mandatory=True)  # returned, had no queue taken it
    assert router.route("x", "k").queues == ("stream",)
    assert router.dead_letter("stream", "expired", "k").unroutable


def test_of_equal_policies_the_broker_tells_which_holds(vhost: Vhost, run: Run) -> None:
    """From a file it cannot be told; live it can."""
    build(vhost, exchange("x"), exchange("y", "fanout"), exchange("z", "fanout"), queue("y"), queue("z"),
          bind("y", "y"), bind("z", "z"))  # fmt: skip
    for name in ("y", "z"):
        policy = {"pattern": "^x$", "apply-to": "exchanges", "priority": 0, "definition": {"alternate-exchange": name}}
        vhost.api("PUT", f"policies/{{vhost}}/to-{name}", policy)
    with vhost.channel() as channel:
        channel.basic_publish("x", "k", b"1")
        seen = read(channel, ["y", "z"])[1]
    live = json.loads(run("route", "x", "k", "--format", "json", target=vhost, status=0).stdout)
    assert (live["queues"], live["uncertain"], live["via_alternate"]) == (seen, [], True)
    (run.folder / "export.json").write_text(vhost.api("GET", "definitions/{vhost}").text)
    offline = json.loads(run("route", "x", "k", "--from", "export.json", "--format", "json", status=0).stdout)
    assert (offline["queues"], offline["possible"], offline["uncertain"]) == ([], ["y", "z"], ["x"])
    assert "policies of the same priority" in offline["notes"][0]
