"""Policies on a real broker: what is said beforehand comes true, what is refused is refused, undo undoes."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

import attune_ops
from attune_ops.installation import audit
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.ops import Ops
from attune_ops.routing.rules import Rules
from tests.world import Broker, Run, Users, Vhost, eventually

DEFINITIONS: list[dict[str, Any]] = [
    {}, {"expires": 0}, {"expires": -1}, {"expires": "1"}, {"expires": 1.5}, {"expires": True}, {"expires": 1},
    {"message-ttl": 0}, {"message-ttl": -1}, {"max-length": 0}, {"max-length": -1}, {"max-length-bytes": -1},
    {"overflow": "x"}, {"overflow": "reject-publish-dlx"}, {"dead-letter-exchange": 1}, {"dead-letter-exchange": "x"},
    {"dead-letter-routing-key": "k"}, {"dead-letter-routing-key": 1}, {"alternate-exchange": 1},
    {"alternate-exchange": "x"}, {"bogus": 1}, {"ha-mode": "all"}, {"consumer-timeout": 600000},
    {"delayed-retry-min": 1000},
]  # fmt: skip


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    made = attune_ops.connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)
    made.topology_apply(apply=True, force=True)
    return made


@pytest.mark.parametrize("definition", DEFINITIONS, ids=json.dumps)
def test_what_the_broker_refuses_is_known_beforehand(definition: dict[str, Any], ops: Ops, vhost: Vhost) -> None:
    said = ops.policies.apply("p", definition, pattern="^no such queue$").refusals
    body = {"pattern": "^no such queue$", "apply-to": "queues", "priority": 1, "definition": definition}
    answer = vhost.api("PUT", "policies/{vhost}/p", body, ok=(201, 204, 400))
    assert bool(said) == (answer.status_code == 400), answer.text
    in_our_words = {"bogus", "ha-mode", "consumer-timeout", "delayed-retry-min"} & definition.keys()
    if said and definition and not in_our_words and not isinstance(next(iter(definition.values())), (str, bool)):
        assert said[0].removeprefix("400: ") in answer.json()["reason"]


@pytest.mark.parametrize("apply_to", ["queues", "exchanges", "all", "classic_queues", "streams", "bogus"])
def test_what_a_policy_may_be_applied_to(apply_to: str, ops: Ops, vhost: Vhost) -> None:
    said = ops.policies.apply("p", {"expires": 1000}, pattern="^x$", apply_to=apply_to).refusals
    body = {"pattern": "^x$", "apply-to": apply_to, "priority": 1, "definition": {"expires": 1000}}
    assert bool(said) == (vhost.api("PUT", "policies/{vhost}/p", body, ok=(201, 204, 400)).status_code == 400)


def test_a_pattern_that_is_none(ops: Ops) -> None:
    assert ops.policies.apply("p", {"expires": 1000}, pattern="((").refusals
    with pytest.raises(ActionError, match=r"refused policy 'p': .*regular expression"):
        ops.policies.apply("p", {"expires": 1000}, pattern="((", apply=True)


def test_what_was_said_comes_true_and_is_undone(ops: Ops, vhost: Vhost, run: Run, broker: Broker) -> None:
    lower = {"pattern": "events", "apply-to": "queues", "priority": 0, "definition": {"message-ttl": 60000}}
    vhost.api("PUT", "policies/{vhost}/lower", lower)
    eventually(lambda: policy_of(vhost, "attune.events.queue") == "lower")
    planned = ops.policies.apply("base-queues", {"max-length": 100})
    assert {(e.name, e.outcome, e.other) for e in planned.effects} == {
        ("attune.events.queue", "hides", "lower"),
        ("attune.executions.queue", "in force", ""),
        ("attune.notifications.queue", "in force", ""),
    }
    assert policy_of(vhost, "attune.events.queue") == "lower", "only looked"
    done = ops.policies.apply("base-queues", {"max-length": 100}, apply=True)
    assert done.applied
    for effect in planned.effects:
        assert policy_of(vhost, effect.name) == "base-queues"
    run(*shlex.split(str(done.undo))[1:], target=vhost, status=0)
    eventually(lambda: policy_of(vhost, "attune.events.queue") == "lower")
    eventually(lambda: policy_of(vhost, "attune.executions.queue") is None)
    assert Rules.of(".".join(map(str, broker.version))).version == broker.version


@pytest.mark.slow
@pytest.mark.parametrize(
    ("definition", "keep"),  # what is left of 6 messages: in the classic queue, in the quorum queue, with dead letters
    [
        ({"max-length": 2}, (2, 2, 2)),
        ({"max-length": 2, "overflow": "reject-publish"}, (2, 6, 2)),
        ({"max-length": 2, "overflow": "reject-publish-dlx"}, (2, 2, 2)),
        ({"message-ttl": 1}, (6, 6, 6)),
    ],
    ids=json.dumps,
)
def test_what_a_limit_drops_is_known_beforehand(
    definition: dict[str, Any], keep: tuple[int, ...], ops: Ops, vhost: Vhost
) -> None:
    told = {"x-dead-letter-exchange": "", "x-dead-letter-routing-key": "dead"}
    queues = {"classic": {}, "quorum": {"x-queue-type": "quorum"}, "told": told}
    with vhost.channel() as channel:
        channel.queue_declare("dead", durable=True)
        for name, arguments in queues.items():
            channel.queue_declare(name, durable=True, arguments=arguments)
            for _ in range(6):
                channel.basic_publish("", name, b"x")
    pattern = f"^({'|'.join(queues)})$"
    wanted = {name: 6 - left for name, left in zip(queues, keep, strict=True)}

    def said() -> dict[str, int | None]:
        planned = ops.policies.apply("p", definition, pattern=pattern)
        return {e.name: 0 if e.drop is None else e.drop.messages for e in planned.effects}

    eventually(lambda: said() == wanted)  # a quorum queue tells its counts every 5 s
    ops.policies.apply("p", definition, pattern=pattern, apply=True)
    left = dict(zip(queues, keep, strict=True)) | {"dead": wanted["told"]}
    eventually(lambda: {q: messages_in(vhost, q) for q in left} == left)


@pytest.mark.slow
def test_what_is_said_to_save_the_messages_saves_them(ops: Ops, vhost: Vhost, run: Run, tmp_path: Path) -> None:
    with vhost.channel() as channel:
        channel.queue_declare("-a b", durable=True)
        for n in range(5):
            channel.basic_publish("", "-a b", str(n).encode())
    how: dict[str, Any] = {"name": "p", "definition": {"max-length": 2}, "pattern": "^-a b$"}
    (line,) = ops.policies.apply(**how).commands
    done = run.shell(f"cd {tmp_path} && {line}", vhost.environment)
    assert "drained 3 messages from -a b" in done.stdout, done.stderr
    assert ops.policies.apply(**how, apply=True).effects[0].drop is None
    assert messages_in(vhost, "-a b") == 2


def test_an_earlier_definition_comes_back(ops: Ops, vhost: Vhost, run: Run) -> None:
    ops.policies.apply("mine", {"max-length": 5}, pattern="^it's \\d$", apply_to="all", priority=7, apply=True)
    before = vhost.api("GET", "policies/{vhost}/mine").json()
    done = ops.policies.apply("mine", {"message-ttl": 9}, pattern="x", apply=True)
    assert vhost.api("GET", "policies/{vhost}/mine").json() != before
    run(*shlex.split(str(done.undo))[1:], target=vhost, status=0)
    assert vhost.api("GET", "policies/{vhost}/mine").json() == before
    removed = ops.policies.remove("mine", apply=True)
    vhost.api("GET", "policies/{vhost}/mine", ok=(404,))
    run(*shlex.split(str(removed.undo))[1:], target=vhost, status=0)
    assert vhost.api("GET", "policies/{vhost}/mine").json() == before
    assert [e.result for e in audit.entries() if e.what.startswith("policy")] == ["started", "done"] * 3


def test_mistakes(ops: Ops, vhost: Vhost, user: Users) -> None:
    with pytest.raises(ConfigError, match="needs --pattern"):
        ops.policies.apply("unknown", {"expires": 1})
    with pytest.raises(ConfigError, match=r"^attune-2026-01 has no direct exchange for dead letters: give --pattern$"):
        ops.policies.apply("dead-letters")
    with pytest.raises(ConfigError, match="no policy 'unknown' in virtual host"):
        ops.policies.remove("unknown")
    with pytest.raises(ActionError, match=r'refused policy \'p\': .*<<"bogus">>'):
        ops.policies.apply("p", {"bogus": 1}, pattern="x", apply=True)
    monitor = user(vhost, tags="monitoring")
    theirs = attune_ops.connect(amqp_url=monitor.amqp_url, management_url=monitor.management_url)
    with pytest.raises(SourceError, match=r"set_user_tags .* policymaker"):
        theirs.policies.apply("worker-queues", apply=True)
    vhost.api("GET", "policies/{vhost}/worker-queues", ok=(404,))


def test_the_table(ops: Ops) -> None:
    ops.policies.apply("worker-queues", apply=True)
    found = {r["name"]: r["is"] for r in ops.policies.show().records()}
    assert found == {"worker-queues": "set", "base-queues": "not set", "exchanges": "not set"}


def messages_in(vhost: Vhost, queue: str) -> int:
    with vhost.channel() as channel:
        return int(channel.queue_declare(queue, passive=True).method.message_count)


def policy_of(vhost: Vhost, queue: str) -> str | None:
    found: str | None = vhost.api("GET", f"queues/{{vhost}}/{queue}").json().get("policy")
    return found or None
