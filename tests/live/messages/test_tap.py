"""A tap sees what passes an exchange, and no application notices it."""

from __future__ import annotations

import gzip
import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pika.exceptions
import pytest

from attune_ops.installation import audit
from attune_ops.messages import tap as module
from attune_ops.model.errors import ActionError, ConfigError
from attune_ops.ops import Ops
from tests.live.messages.site import SECRET, connect, declare_work, depth, envelope, send
from tests.live.messages.test_round_trip import fetch
from tests.unit.messages.wire import properties
from tests.world import Run, Users, Vhost, eventually


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    declare_work(vhost)
    return connect(vhost)


def objects(vhost: Vhost) -> tuple[set[str], set[tuple[str, str, str]]]:
    """The queues and bindings of the virtual host."""
    bindings = vhost.api("GET", "bindings/{vhost}").json()
    return vhost.names("queues"), {(b["source"], b["destination"], b["routing_key"]) for b in bindings}


@contextmanager
def tapping(ops: Ops, vhost: Vhost, *arguments: Any, **options: Any) -> Iterator[list[Any]]:
    """Runs a tap in a thread from the moment on at which its queue is bound; the list gets its result."""
    before = objects(vhost)[1]
    done: list[Any] = []

    def run() -> None:
        try:
            done.append(ops.messages.tap(*arguments, **options))
        except Exception as e:  # noqa: BLE001 - looked at by the test
            done.append(e)

    thread = threading.Thread(target=run)
    thread.start()
    eventually(lambda: objects(vhost)[1] > before or done)
    yield done
    thread.join(30)
    assert not thread.is_alive()


def test_a_consumer_gets_all_and_the_broker_keeps_no_trace(ops: Ops, vhost: Vhost) -> None:
    before = objects(vhost)
    with tapping(ops, vhost, "work", limit=50) as done:
        send(ops, *[envelope(n=n) for n in range(50)])
    result = done[0]
    assert [m.body["payload"]["n"] for m in result.messages] == list(range(50))
    assert {m.routing_key for m in result.messages} == {"job.1"}
    assert (result.seen, result.matched, result.keys) == (50, 50, ("job.#",))
    assert len(fetch(ops.settings, "work")) == 50, "the queue of the application has them all"
    eventually(lambda: objects(vhost) == before)


def test_without_a_key_what_is_unroutable_stays_so(ops: Ops, vhost: Vhost) -> None:
    with tapping(ops, vhost, "work", seconds=2.0) as done, vhost.channel() as channel:
        channel.confirm_delivery()
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish("work", "nobody.wants.it", b"{}", mandatory=True)
    assert done[0].seen == 0
    with tapping(ops, vhost, "work", "nobody.#", limit=1) as done, vhost.channel() as channel:
        channel.basic_publish("work", "nobody.wants.it", b"{}")
    assert done[0].messages[0].routing_key == "nobody.wants.it"
    assert "counts as routed" in done[0].notes[0]


def test_a_binding_that_disappears_is_removed_from_the_tap(
    ops: Ops, vhost: Vhost, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LOOK_S", 0.1)

    def own() -> bool:
        return any(s == "work" and d.startswith("amq.gen") for s, d, _ in objects(vhost)[1])

    with tapping(ops, vhost, "work", limit=1) as done, vhost.channel() as channel:
        channel.confirm_delivery()
        assert own()
        channel.queue_unbind("work", "work", "job.#")
        eventually(lambda: not own())
        with pytest.raises(pika.exceptions.UnroutableError):
            channel.basic_publish("work", "job.1", b"{}", mandatory=True)
        channel.queue_bind("work", "work", "job.#")
        eventually(own)
        channel.basic_publish("work", "job.1", b"{}", mandatory=True)
    assert done[0].seen == 1
    assert "no other binding was left with key 'job.#': the tap removed its own" in done[0].notes


def test_what_could_change_a_route_is_refused(ops: Ops, vhost: Vhost) -> None:
    vhost.api("PUT", "exchanges/{vhost}/lone", {"type": "direct", "durable": True})
    vhost.api(
        "PUT", "exchanges/{vhost}/backed",
        {"type": "topic", "durable": True, "arguments": {"alternate-exchange": "dlx"}},
    )  # fmt: skip
    with pytest.raises(ConfigError, match="alternate exchange 'dlx'"):
        ops.messages.tap("backed", "a.b", limit=1)
    with pytest.raises(ActionError, match="no binding"):
        ops.messages.tap("lone", limit=1)
    with pytest.raises(ActionError, match="no exchange 'nope'"):
        ops.messages.tap("nope", limit=1)
    with pytest.raises(ConfigError, match="default exchange"):
        ops.messages.tap("", limit=1)
    with pytest.raises(ConfigError, match="needs an end"):
        ops.messages.tap("work")


def test_an_alternate_exchange_by_policy_counts(ops: Ops, vhost: Vhost) -> None:
    definition = {"pattern": "^work$", "apply-to": "exchanges", "definition": {"alternate-exchange": "dlx"}}
    vhost.api("PUT", "policies/{vhost}/backup", definition)
    with pytest.raises(ConfigError, match="alternate exchange 'dlx'"):
        ops.messages.tap("work", "other", limit=1)
    with tapping(ops, vhost, "work", "job.#", limit=1):  # bound already: takes nothing away
        send(ops, envelope())


def test_secrets_filters_and_compressed_bodies(ops: Ops, vhost: Vhost) -> None:
    _, body = envelope(type="ExecutionCompleted", n=7)
    packed = properties(content_type="application/json", content_encoding="gzip")
    with tapping(ops, vhost, "work", limit=1, filters=["type=ExecutionCompleted"]) as done:
        send(ops, envelope(n=1), (packed, gzip.compress(body)))
    result = done[0]
    assert (result.seen, result.matched) == (2, 1)
    assert result.messages[0].body["payload"]["n"] == 7
    assert SECRET not in str(result)
    with tapping(ops, vhost, "work", limit=1, reveal=True) as done:
        send(ops, envelope())
    assert SECRET in str(done[0].messages[0].body)
    assert [e.what for e in audit.entries()][-1] == "messages tap --reveal"


def test_what_is_saved_is_restored_byte_for_byte(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    sent = [envelope(n=n) for n in range(5)]
    file = tmp_path / "tapped.jsonl"
    with tapping(ops, vhost, "work", limit=5, save=file):
        send(ops, *sent)
    assert file.stat().st_mode & 0o777 == 0o600
    fetch(ops.settings, "work")
    ops.messages.restore(file, exchange="work", apply=True)
    assert [(raw, body) for _, raw, body in fetch(ops.settings, "work")] == sent


def test_a_slow_tap_is_told_and_costs_a_bounded_number(ops: Ops, vhost: Vhost, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in (("WAITING", 100), ("PREFETCH", 1), ("LOOK_S", 0.1)):
        monkeypatch.setattr(module, name, value)
    with tapping(ops, vhost, "work", limit=60, on_message=lambda message: time.sleep(0.1)) as done:
        send(ops, *[envelope(n=n) for n in range(400)])
        queues = vhost.api("GET", "queues/{vhost}").json()
        assert max(q.get("messages", 0) for q in queues if q["name"].startswith("amq.gen")) <= 101
    assert any("tap is slow" in note for note in done[0].notes)
    assert depth(vhost, "work") == 400


def command(vhost: Vhost, *words: str) -> subprocess.Popen[str]:
    environment = {**os.environ, **vhost.environment}
    return subprocess.Popen(
        [sys.executable, "-m", "attune_ops", "messages", "tap", "work", *words],
        env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
    )  # fmt: skip


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM], ids=["kill", "int", "term"])
def test_a_signal_ends_it_and_leaves_no_trace(how: signal.Signals, ops: Ops, vhost: Vhost) -> None:
    before = objects(vhost)
    process = command(vhost, "--json-lines")
    eventually(lambda: objects(vhost)[1] > before[1], within=20)
    send(ops, envelope(n=1))
    assert process.stdout is not None
    assert json.loads(process.stdout.readline())["body"]["payload"]["n"] == 1
    process.send_signal(how)
    _, said = process.communicate(timeout=60)
    if how is signal.SIGINT:
        assert process.returncode == 0
        assert "1 message passed exchange work" in said
    eventually(lambda: objects(vhost) == before, within=20)
    assert depth(vhost, "work") == 1


def test_a_closed_pipe_ends_it(ops: Ops, vhost: Vhost) -> None:
    before = objects(vhost)
    process = command(vhost)
    eventually(lambda: objects(vhost)[1] > before[1], within=20)
    assert process.stdout is not None
    process.stdout.close()

    def ended() -> bool:
        send(ops, envelope())
        return process.poll() is not None

    eventually(ended, within=20, every=0.3)
    assert process.stderr is not None
    assert "Traceback" not in process.stderr.read()
    process.stderr.close()


def test_the_permission_that_lacks_is_named(ops: Ops, vhost: Vhost, user: Users, run: Run) -> None:
    for configure, write, read, lacks in (
        ("^$", ".*", ".*", "all permissions on queues named amq.gen-…"),
        (".*", "^$", ".*", "write permission on amq.default"),
        (".*", ".*", "^amq", "read permission on work"),
    ):
        limited = user(vhost, configure=configure, write=write, read=read)
        said = run("messages", "tap", "work", "--limit", "1", env=limited.environment, status=1).stderr
        assert f"user {limited.user!r} does not have {lacks} (403)" in said
        assert "amq.gen-" not in said.replace("amq.gen-…", "").replace("amq\\.gen-", ""), "the name of no queue"


def test_a_drain_of_more_than_there_is_says_how_much_that_was(ops: Ops, tmp_path: Path) -> None:
    send(ops, envelope())
    send(ops, envelope())
    dry = ops.messages.drain("work", tmp_path / "w.jsonl", limit=5)
    assert dry.notes[-1] == "5 asked for (--limit), 2 messages ready"
    done = ops.messages.drain("work", tmp_path / "w.jsonl", limit=5, apply=True)
    assert done.notes[-1] == "5 asked for (--limit), 2 messages drained"
    assert not any("asked for" in n for n in ops.messages.drain("work", tmp_path / "v.jsonl").notes)


def test_bad_input_gets_one_line(ops: Ops, vhost: Vhost, run: Run, tmp_path: Path) -> None:
    for words, status in (
        (("nope", "--limit", "1"), 1),
        (("", "--limit", "1"), 2),
        (("work", "--limit", "0"), 2),
        (("work", "--for", "soon"), 2),
        (("work", "--filter", "nonsense", "--limit", "1"), 2),
        (("work", "--format", "csv"), 2),
        (("work", "--limit", "1", "--save", str(tmp_path)), 2),
    ):
        done = run("messages", "tap", *words, env=vhost.environment, status=status)
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr
