"""Sending messages on their way again: back where they died from, not for ever, not what has ended."""

from __future__ import annotations

import re
import signal
import socket
import subprocess
import time
from collections.abc import Callable
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any

import psycopg
import pytest

from attune_ops.installation.amqp import interruptible, open_connection
from attune_ops.installation.timed_connection import TimedConnection
from attune_ops.messages import raw_amqp
from attune_ops.messages.message import REPLAYS, Message
from attune_ops.messages.publisher import WINDOW
from attune_ops.messages.queue_reader import open_reader
from attune_ops.messages.queue_state import read_queue
from attune_ops.messages.transfer import Outcome, Transfer
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.ops import Ops
from tests.live.messages.ledger import fill
from tests.live.messages.site import bodies, connect, declare_work, depth, envelope, reject, send
from tests.live.messages.test_round_trip import HEADERS, declare, fetch, publish
from tests.unit.messages.wire import properties
from tests.world import Run, Users, Vhost, eventually

HEARTBEAT_S = 2
AT_LIMIT = 200


@pytest.fixture
def ops(vhost: Vhost) -> Ops:
    declare_work(vhost)
    return connect(vhost)


def counts(transfer: Transfer) -> dict[Outcome, int]:
    return {o.outcome: transfer.count(o.outcome) for o in transfer.outcomes}


def test_dead_letters_go_back_where_they_died_from(ops: Ops, vhost: Vhost) -> None:
    send(ops, envelope(n=1), key="job.a")
    send(ops, envelope(n=2), key="job.b")
    reject(vhost, 2)
    done = ops.messages.move("dead", apply=True)
    assert {(s.exchange, s.routing_key, s.messages) for s in done.outcomes} == {
        ("work", "job.a", 1),
        ("work", "job.b", 1),
    }
    assert depth(vhost, "dead") == 0
    assert sorted(b["payload"]["n"] for b in bodies(ops, "work")) == [1, 2]


def test_a_drained_dead_letter_goes_back_too(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, envelope(n=1))
    reject(vhost, 1)
    ops.messages.drain("dead", tmp_path / "f", apply=True)
    assert counts(ops.messages.restore(tmp_path / "f", apply=True)) == {"published": 1}
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [1]


def test_a_named_place_gets_exactly_what_was_kept(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, envelope())
    reject(vhost, 1)
    ops.messages.drain("dead", tmp_path / "f", apply=True)
    ops.messages.restore(tmp_path / "f", exchange="", routing_key="dead", apply=True)
    ops.messages.drain("dead", tmp_path / "g", apply=True)
    (kept,), (again,) = ((tmp_path / n).read_text().splitlines()[1:] for n in "fg")
    assert kept.partition('"properties"')[2] == again.partition('"properties"')[2]


def test_what_is_replayed_for_ever_is_kept_back(ops: Ops, vhost: Vhost) -> None:
    send(ops, envelope())
    for n in range(3):
        reject(vhost, 1)
        assert counts(ops.messages.move("dead", apply=True)) == {"published": 1}, n
    reject(vhost, 1)
    stuck = ops.messages.move("dead", apply=True)
    assert counts(stuck) == {"kept": 1}
    assert stuck.outcomes[0].why == "already replayed 3 times"
    assert stuck.incomplete
    assert depth(vhost, "dead") == 1
    declare(vhost, "parking")
    for source, target in (("dead", "parking"), ("parking", "dead")):  # a named destination: no replay
        assert counts(ops.messages.move(source, target, apply=True)) == {"published": 1}
    assert counts(ops.messages.move("dead", "work", apply=True)) == {"kept": 1}, "it goes back as without a name"
    assert counts(ops.messages.move("dead", "work", max_replays=4, apply=True)) == {"published": 1}
    ((_, raw, body),) = fetch(ops.settings, "work")
    assert Message(1, "", "", raw, body).headers[REPLAYS] == 4


def test_what_never_died_has_nowhere_to_go_back_to(ops: Ops, vhost: Vhost) -> None:
    send(ops, envelope())
    assert any("not dead-lettered" in note and "status is then 1" in note for note in ops.messages.move("work").notes)
    assert counts(ops.messages.move("work", apply=True)) == {"kept": 1}
    assert depth(vhost, "work") == 1


def test_what_has_ended_is_not_replayed(vhost: Vhost, database: str) -> None:
    declare_work(vhost)
    ops = connect(vhost, database_url=database)
    with psycopg.connect(database, autocommit=True) as registry:
        registry.execute(
            "INSERT INTO attune.execution (id, action_ref, status) VALUES (1, 'a', 'completed'), (2, 'a', 'running')"
        )
    send(
        ops,
        envelope(execution_id=1),
        envelope(execution_id=2),
        envelope(execution_id=3),
        envelope("ExecutionCompleted", execution_id=1),
        envelope("ExecutionCancelRequested", execution_id=1),
    )
    reject(vhost, 5)
    done = ops.messages.move("dead", apply=True)
    assert counts(done) == {"published": 3, "kept": 2}
    assert any(s.why == "its execution is already completed" for s in done.outcomes)
    told = sorted((b["message_type"], b["payload"]["execution_id"]) for b in bodies(ops, "work"))
    assert told == [("ExecutionCompleted", 1), ("ExecutionRequested", 2), ("ExecutionRequested", 3)]
    assert counts(ops.messages.move("dead", finished=True, apply=True)) == {"published": 2}


def test_a_registry_that_cannot_be_asked_stops_a_replay(vhost: Vhost) -> None:
    declare_work(vhost)
    ops = connect(vhost, database_url="postgresql://nobody@127.0.0.1:1/none")
    send(ops, envelope())
    with pytest.raises(SourceError, match="registry"):
        ops.messages.move("work", "dead", apply=True)
    assert depth(vhost, "work") == 1
    assert counts(ops.messages.move("work", "dead", finished=True, apply=True)) == {"published": 1}


def test_what_no_queue_takes_stays_and_is_told(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, envelope(n=1), envelope(n=2))
    done = ops.messages.move("work", exchange="work", routing_key="nowhere", apply=True)
    assert counts(done) == {"returned": 2}
    assert done.incomplete
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [1, 2], "in the order in which they were"
    send(ops, envelope(n=1), envelope(n=2))
    ops.messages.drain("work", tmp_path / "f", apply=True)
    gone = ops.messages.restore(tmp_path / "f", exchange="gone", apply=True)
    assert counts(gone) == {"returned": 2}
    assert gone.outcomes[0].why == "exchange not found"
    assert counts(ops.messages.restore(tmp_path / "f", apply=True)) == {"published": 2}, "they were not marked"


def test_returned_and_routed_are_told_apart_in_one_go(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    """Many in flight, some of them byte for byte alike."""
    declare(vhost, "all")
    vhost.api("POST", "bindings/{vhost}/e/work/q/all", {"routing_key": "#"})
    body = envelope(n=0)[1]
    unsorted = properties(headers={"z": HEADERS["double"], "a": HEADERS["int8"]}, message_id="twin")
    twins = [(unsorted, body)] * 2
    sent = [(n, m) for n in range(200) for m in (envelope(n=n), *twins[: n % 3])]
    publish(ops.settings, [("job.x" if n % 2 else "other", raw, body) for n, (raw, body) in sent], "work")
    ops.messages.drain("all", tmp_path / "f", apply=True)
    vhost.api("DELETE", "queues/{vhost}/all")
    fetch(ops.settings, "work")
    done = ops.messages.restore(tmp_path / "f", apply=True)
    wanted = sum(1 + n % 3 for n in range(200) if n % 2)
    others = sum(1 + n % 3 for n in range(200) if not n % 2)
    assert counts(done) == {"published": wanted, "returned": others}
    assert {(s.outcome, s.routing_key) for s in done.outcomes} == {("published", "job.x"), ("returned", "other")}
    assert depth(vhost, "work") == wanted


def test_a_full_queue_that_rejects_keeps_the_source(ops: Ops, vhost: Vhost) -> None:
    limits = {"x-max-length": 2, "x-overflow": "reject-publish", "x-queue-type": "classic"}
    vhost.api("PUT", "queues/{vhost}/small", {"durable": True, "arguments": limits})
    send(ops, *[envelope(n=n) for n in range(10)])
    done = ops.messages.move("work", "small", apply=True)
    assert done.count("published", "refused") == 10
    assert done.count("refused") > 0
    assert depth(vhost, "work") + depth(vhost, "small") == 10


@pytest.mark.parametrize("by", ["argument", "policy", "operator policy"])
@pytest.mark.parametrize(("key", "limit"), [("max-length", 2), ("max-length-bytes", 1000)])
def test_a_full_queue_that_drops_gets_nothing(
    by: str, key: str, limit: int, ops: Ops, vhost: Vhost, tmp_path: Path
) -> None:
    """It would confirm each message and drop the oldest."""
    arguments = {f"x-{key}": limit} if by == "argument" else {}
    vhost.api("PUT", "queues/{vhost}/small", {"durable": True, "arguments": {"x-queue-type": "classic"} | arguments})
    if by != "argument":
        kind = "policies" if by == "policy" else "operator-policies"
        vhost.api("PUT", f"{kind}/{{vhost}}/p", {"pattern": "^small$", "definition": {key: limit}})
    send(ops, *[envelope(n=n) for n in range(10)])
    if key == "max-length-bytes":  # a statistic
        eventually(lambda: read_queue(ops.settings, "work").size)
    origin = "its argument" if by == "argument" else f"{by} 'p'"
    refused = rf"'small' has {key} {limit:,} \({origin}\): 0 \w+ are ready.*nothing was published"
    for apply in (False, True):
        with pytest.raises(ActionError, match=refused):
            ops.messages.move("work", "small", apply=apply)
    assert (depth(vhost, "work"), depth(vhost, "small")) == (10, 0)
    file = tmp_path / "f"
    ops.messages.drain("work", file, apply=True)
    for apply in (False, True):
        with pytest.raises(ActionError, match=refused):
            ops.messages.restore(file, exchange="", routing_key="small", apply=apply)
    assert depth(vhost, "small") == 0
    fits = ops.messages.restore(file, exchange="", routing_key="small", filters=["$.payload.n<2"], apply=True)
    assert fits.count("published") == depth(vhost, "small") == 2


def test_a_limit_by_a_policy_with_an_unsupported_pattern_counts(ops: Ops, vhost: Vhost) -> None:
    """Which queues it matches is not simulated: the broker reports it, some seconds later."""
    vhost.api("PUT", "queues/{vhost}/small", {"durable": True, "arguments": {"x-queue-type": "classic"}})
    send(ops, *[envelope(n=n) for n in range(3)])
    vhost.api("PUT", "policies/{vhost}/p", {"pattern": "^(small+)+$", "definition": {"max-length": 2}})

    def reported() -> bool:
        answer = vhost.api("GET", "queues/{vhost}/small").json()
        return bool(answer.get("effective_policy_definition"))

    eventually(reported)
    with pytest.raises(ActionError, match=r"'small' has max-length 2 \(policy 'p'\): 0 messages are ready.*nothing"):
        ops.messages.move("work", "small", apply=True)
    assert (depth(vhost, "work"), depth(vhost, "small")) == (3, 0)


def test_what_only_another_user_may_publish_stays(ops: Ops, vhost: Vhost) -> None:
    mine = properties(delivery_mode=2, user_id=vhost.user, message_id="mine")
    send(ops, (mine, b"{}"))
    assert counts(ops.messages.move("work", "dead", apply=True)) == {"published": 1}
    assert fetch(ops.settings, "dead")[0][1] == mine


def test_filters_take_only_what_they_mean_and_leave_the_order(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, *[envelope("EventCreated" if n % 3 else "ExecutionRequested", n=n) for n in range(1500)])
    done = ops.messages.drain("work", tmp_path / "f", filters=["type=ExecutionRequested"], apply=True)
    assert counts(done) == {"drained": 500, "other": 1000}
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [n for n in range(1500) if n % 3]


def test_filters_of_a_move_and_a_limit(ops: Ops, vhost: Vhost) -> None:
    send(ops, *[envelope(n=n, age=timedelta(hours=n)) for n in range(6)])
    done = ops.messages.move("work", "dead", filters=["age>150m"], apply=True)
    assert counts(done) == {"published": 3, "other": 3}
    assert [b["payload"]["n"] for b in bodies(ops, "dead")] == [3, 4, 5]
    limited = ops.messages.move("work", "dead", filters=["$.payload.n!=0"], limit=1, apply=True)
    assert counts(limited) == {"published": 1, "other": 1}
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [0, 2]


def test_a_limit_of_a_drain_leaves_the_rest(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, *[envelope(n=n) for n in range(20)])
    assert counts(ops.messages.drain("work", tmp_path / "f", limit=7, apply=True)) == {"drained": 7}
    assert not ops.messages.peek("work").messages[-1].redelivered, "none was taken ahead"
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == list(range(7, 20))


def test_what_comes_back_to_the_source_is_not_moved_again(ops: Ops, vhost: Vhost) -> None:
    send(ops, *[envelope(n=n) for n in range(5)])
    done = ops.messages.move("work", exchange="work", apply=True)
    assert counts(done) == {"published": 5}
    assert depth(vhost, "work") == 5
    with pytest.raises(ConfigError, match="both source and destination"):
        ops.messages.move("work", "work", apply=True)
    with pytest.raises(ActionError, match=r"no queue 'gone' in virtual host .* to move to"):
        ops.messages.move("work", "gone")


def test_an_interrupt_that_pika_stumbles_over_stays_one() -> None:
    def stumble(first: BaseException) -> None:
        with interruptible():
            try:
                raise first
            finally:
                raise AssertionError(1)

    with pytest.raises(KeyboardInterrupt):
        stumble(KeyboardInterrupt())
    with pytest.raises(AssertionError):
        stumble(ValueError())


@pytest.mark.slow
@pytest.mark.parametrize("what", ["restore", "move", "drain"])
def test_interrupted_it_says_what_is_done_and_loses_nothing(
    what: str, ops: Ops, vhost: Vhost, run: Run, tmp_path: Path
) -> None:
    many, file = 20_000, tmp_path / "f.jsonl"
    fill(ops.settings, "work", many)
    eventually(lambda: depth(vhost, "work") == many)
    if what == "restore":
        ops.messages.drain("work", file, apply=True)
    began = {"restore": lambda: depth(vhost, "dead"), "move": lambda: depth(vhost, "dead"), "drain": file.exists}[what]
    order = {
        "restore": ("restore", file, "--exchange", "", "--routing-key", "dead"),
        "move": ("move", "work", "dead"),
        "drain": ("drain", "work", "--to", file),
    }[what]
    with run.start("messages", *order, "--apply", target=vhost) as process:
        eventually(began, every=0.01)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 130, said
    done = re.fullmatch(r"attune-ops: interrupted; (?:.*; )?([\d,]+) messages? .*", said.strip())
    assert done is not None, said
    if what != "drain":
        assert 0 <= depth(vhost, "dead") - int(done[1].replace(",", "")) <= WINDOW, (
            "what was in flight where pika was past use"
        )
    eventually(  # the broker takes a moment to give back what the interrupted one held
        lambda: run("messages", *order, "--apply", target=vhost, status=0) and depth(vhost, "work") == 0
    )
    if what != "drain":
        assert many <= depth(vhost, "dead") <= many + WINDOW


def test_no_faster_than_the_rate(ops: Ops, vhost: Vhost) -> None:
    send(ops, *[envelope(n=n) for n in range(20)])
    began = time.monotonic()
    ops.messages.move("work", "dead", rate=20, apply=True)
    assert time.monotonic() - began > 0.9


@pytest.mark.slow
def test_a_slow_move_keeps_its_source(ops: Ops, vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker closes a connection without heartbeats after two to three times this, and requeues its messages."""
    monkeypatch.setattr(raw_amqp, "open_connection", partial(open_connection, heartbeat=HEARTBEAT_S))
    count = 3 * HEARTBEAT_S + 3
    send(ops, *[envelope(n=n) for n in range(count)])
    assert counts(ops.messages.move("work", "dead", rate=1, apply=True)) == {"published": count}
    assert (depth(vhost, "work"), depth(vhost, "dead")) == (0, count)


def test_an_error_of_the_command_leaves_no_message_in_both_queues(ops: Ops, vhost: Vhost) -> None:
    fill(ops.settings, "work", 1000)

    def fail(_: int) -> None:
        raise ActionError("stop")

    with pytest.raises(ActionError, match=r"^stop; 500 messages were moved, the others stayed$"):
        ops.messages.move("work", "dead", apply=True, on_progress=fail)
    eventually(lambda: depth(vhost, "work") == 500)
    assert depth(vhost, "dead") == 500


def test_a_lost_connection_to_the_source_is_said_to_leave_duplicates(
    ops: Ops, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    fill(ops.settings, "work", 1000)
    opened: dict[str, TimedConnection] = {}

    def kept(*address: Any, name: str, **options: Any) -> TimedConnection:
        opened[name] = open_connection(*address, name=name, **options)
        return opened[name]

    def lose(_: int) -> None:
        """Once: the broker may have closed its end before the next call."""
        if source := opened.pop("attune-ops reading work", None):
            source._impl._transport._sock.shutdown(socket.SHUT_RDWR)

    monkeypatch.setattr(raw_amqp, "open_connection", kept)

    with pytest.raises(SourceError) as lost:
        ops.messages.move("work", "dead", apply=True, on_progress=lose)
    pattern = r"; ([\d,]+) messages were confirmed, the others stayed; up to ([\d,]+) messages \(.*\) may be in both"
    said = re.search(pattern, str(lost.value))
    assert said is not None, lost.value
    confirmed, doubtful = (int(n.replace(",", "")) for n in said.groups())
    eventually(lambda: depth(vhost, "work") + depth(vhost, "dead") >= 1000)
    assert depth(vhost, "dead") == confirmed
    assert depth(vhost, "work") + confirmed - 1000 <= doubtful


def test_without_apply_nothing_happens(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, envelope(), envelope())
    assert not ops.messages.drain("work", tmp_path / "f").applied
    assert not (tmp_path / "f").exists()
    assert not ops.messages.move("work", "dead").applied
    ops.messages.drain("work", tmp_path / "f", apply=True)
    assert counts(ops.messages.restore(tmp_path / "f")) == {"published": 2}
    assert (depth(vhost, "work"), depth(vhost, "dead")) == (0, 0)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["f"]


def test_an_auto_delete_queue_is_emptied_and_stays(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    """A consumer would arm it: with the end of the drain, or of a killed one, it would go."""
    with vhost.channel() as channel:
        channel.queue_declare("worker.7.executions", auto_delete=True)
        for _ in range(30):
            channel.basic_publish("", "worker.7.executions", b"{}")
    assert counts(ops.messages.drain("worker.7.executions", tmp_path / "f", limit=10, apply=True)) == {"drained": 10}
    assert depth(vhost, "worker.7.executions") == 20
    assert counts(ops.messages.move("worker.7.executions", "dead", apply=True)) == {"published": 20}
    assert depth(vhost, "worker.7.executions") == 0, "the queue is still there"


def test_a_message_at_its_delivery_limit_survives_being_given_back(ops: Ops, vhost: Vhost) -> None:
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1}
    vhost.api("PUT", "queues/{vhost}/limited", {"durable": True, "arguments": arguments})
    send(ops, envelope(n=1), envelope(n=2), key="limited", exchange="")
    for _ in range(5):
        assert len(ops.messages.peek("limited").messages) == 2
        eventually(lambda: depth(vhost, "limited") == 2)
    assert counts(ops.messages.move("limited", "dead", filters=["type=none"], apply=True)) == {"other": 2}
    eventually(lambda: depth(vhost, "limited") == 2)
    assert sorted(b["payload"]["n"] for b in bodies(ops, "limited")) == [1, 2]


@pytest.fixture
def limited(ops: Ops, vhost: Vhost) -> Callable[[], None]:
    """A quorum queue with 2 MB of messages at its delivery limit; the function asserts that they are there."""
    arguments = {"x-queue-type": "quorum", "x-delivery-limit": 1}
    vhost.api("PUT", "queues/{vhost}/limited", {"durable": True, "arguments": arguments})
    send(ops, *[envelope(n=n, pad="x" * 10_000) for n in range(AT_LIMIT)], key="limited", exchange="")
    with vhost.channel() as channel:
        tags = [eventually(lambda: channel.basic_get("limited")[0]).delivery_tag for _ in range(AT_LIMIT)]
        for tag in tags:
            channel.basic_reject(tag)
    eventually(lambda: depth(vhost, "limited") == AT_LIMIT)

    def complete() -> None:
        eventually(lambda: depth(vhost, "limited") == AT_LIMIT)
        assert sorted(b["payload"]["n"] for b in bodies(ops, "limited")) == list(range(AT_LIMIT))

    return complete


@pytest.mark.parametrize("error", [ActionError, OSError, KeyboardInterrupt])
def test_an_error_loses_no_message_at_its_delivery_limit(
    error: type[BaseException], ops: Ops, limited: Callable[[], None]
) -> None:
    def fail() -> None:
        with open_reader(ops.settings, read_queue(ops.settings, "limited")) as reader:
            reader.requeue_later(reader.next_batch(1)[0])
            raise error

    with pytest.raises(error):
        fail()
    limited()


def test_who_cannot_republish_a_message_at_its_delivery_limit_reads_none(
    ops: Ops, vhost: Vhost, user: Users, limited: Callable[[], None], tmp_path: Path
) -> None:
    reader = connect(user(vhost, tags="monitoring", configure="^$", write="^$", read="^limited$"))
    if not read_queue(ops.settings, "limited").counts_requeues:
        assert reader.messages.peek("limited").messages
    else:
        refused = r"delivery limit \(1\).*amq\.default.*write permission.*no message was read"
        with pytest.raises(ActionError, match=refused):
            reader.messages.peek("limited")
        with pytest.raises(ActionError, match=refused):
            reader.messages.drain("limited", tmp_path / "f", filters=["type=none"], apply=True)
    limited()


def test_a_stream_is_refused(ops: Ops, vhost: Vhost) -> None:
    vhost.api("PUT", "queues/{vhost}/s", {"durable": True, "arguments": {"x-queue-type": "stream"}})
    for act in (ops.messages.peek, ops.messages.move):
        with pytest.raises(ActionError, match="stream"):
            act("s")


def test_a_queue_that_another_consumer_has_to_itself(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    with vhost.channel() as channel:
        channel.basic_consume("work", lambda *_: None, exclusive=True)
        with pytest.raises(ActionError, match="403"):
            ops.messages.drain("work", tmp_path / "f", apply=True)


def test_a_file_of_another_queue_or_kind_is_not_written_to(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    send(ops, envelope())
    ops.messages.drain("work", tmp_path / "f", apply=True)
    (tmp_path / "g").write_text("notes of mine\n")
    kept = [(tmp_path / n).read_bytes() for n in "fg"]
    for name in "fg":
        for apply in (True, False):
            with pytest.raises(ConfigError):
                ops.messages.drain("dead", tmp_path / name, apply=apply)
    for apply in (True, False):
        with pytest.raises(ActionError, match="cannot write"):
            ops.messages.drain("dead", tmp_path / "no" / "h", apply=apply)
    with pytest.raises(ConfigError, match="not a message file"):
        ops.messages.restore(tmp_path / "g", apply=True)
    assert [(tmp_path / n).read_bytes() for n in "fg"] == kept


def test_an_empty_file_that_was_there_is_for_its_owner_alone(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    (tmp_path / "f").touch(0o666)
    ops.messages.drain("dead", tmp_path / "f", apply=True)
    assert (tmp_path / "f").stat().st_mode & 0o777 == 0o600


def with_files_up_to(kib: str, run: Run, vhost: Vhost, line: str) -> subprocess.CompletedProcess[str]:
    """Runs the command where no file can grow beyond so much, which is what a full disk is to it."""
    command = ["bash", "-c", f"ulimit -f {kib}; exec {run.command} {line}"]
    environment = run.environment(vhost)
    return subprocess.run(command, cwd=run.folder, env=environment, capture_output=True, text=True, timeout=60)


def test_a_full_disk_loses_nothing(ops: Ops, vhost: Vhost, run: Run) -> None:
    send(ops, *[envelope(n=n, text="x" * 5000) for n in range(300)])
    drain = "messages drain work --to f --apply"
    full = with_files_up_to("1000", run, vhost, drain)
    assert full.returncode == 1
    assert "cannot write 'f': File too large" in full.stderr
    assert "Traceback" not in full.stderr
    assert depth(vhost, "work") > 0
    again = with_files_up_to("unlimited", run, vhost, drain)
    assert again.returncode == 0, again.stderr
    assert depth(vhost, "work") == 0
    full = with_files_up_to("20", run, vhost, "messages restore f --apply")
    assert full.returncode == 1
    assert "cannot write the progress file 'f.restored': No space left" in full.stderr
    assert depth(vhost, "work") == 0
    ops.messages.restore(run.folder / "f", apply=True)
    assert sorted(b["payload"]["n"] for b in bodies(ops, "work")) == list(range(300))


def test_a_torn_last_line_is_cut_off_and_drained_again(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    file = tmp_path / "f"
    send(ops, envelope(n=1), envelope(n=2))
    ops.messages.drain("work", file, apply=True)
    whole = file.read_bytes()
    file.write_bytes(whole[:-30])
    looked = ops.messages.restore(file)
    assert counts(looked) == {"published": 1, "damaged": 1}
    send(ops, envelope(n=2))
    done = ops.messages.drain("work", file, apply=True)
    assert any(note.startswith("cut off ") for note in done.notes)
    assert counts(ops.messages.restore(file, apply=True)) == {"published": 2}
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [1, 2]


def test_marks_of_another_file_of_the_same_name_are_not_believed(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    file = tmp_path / "f"
    for _ in range(2):
        send(ops, envelope())
        ops.messages.drain("work", file, apply=True)
        if not (tmp_path / "f.restored").exists():
            ops.messages.restore(file, exchange="", routing_key="dead", apply=True)
            file.unlink()
    with pytest.raises(ConfigError, match="another file"):
        ops.messages.restore(file)


def test_the_other_queues_that_get_a_copy_are_named(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    """Their consumers would handle the messages again."""
    vhost.api("PUT", "queues/{vhost}/audit", {"durable": True, "arguments": {"x-queue-type": "classic"}})
    vhost.api("POST", "bindings/{vhost}/e/work/q/audit", {"routing_key": "job.*"})
    file = tmp_path / "f"
    send(ops, envelope())
    ops.messages.drain("work", file, apply=True)
    to, alone = "each message to exchange 'work' with key 'job.1'", "--exchange= --routing-key=work"
    assert f"{to} is also routed to audit; for queue 'work' alone: {alone}" in ops.messages.restore(file).notes
    assert f"{to} was also routed to audit" in ops.messages.restore(file, apply=True).notes
    assert (depth(vhost, "work"), depth(vhost, "audit")) == (1, 2)
    reject(vhost, 1)
    assert any("each message is routed again" in note for note in ops.messages.move("dead").notes)
    assert f"{to} was also routed to audit" in ops.messages.move("dead", apply=True).notes
    reject(vhost, 1)
    only = ops.messages.move("dead", exchange="", routing_key="work", filters=["queue=work"], apply=True)
    assert counts(only) == {"published": 1}
    assert (depth(vhost, "work"), depth(vhost, "audit")) == (1, 3)
    assert not any("routed" in note for note in only.notes)
