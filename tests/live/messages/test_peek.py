"""Looking at messages leaves them where they are, says why they are there, and shows no secret."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import msgspec
import pytest

import attune_ops
from attune_ops.installation import audit
from attune_ops.messages.transfer import Transfer
from attune_ops.model.errors import ConfigError
from attune_ops.ops import Ops
from attune_ops.render import form
from tests.hostile import NAMES
from tests.live.messages.site import SECRET, bodies, connect, declare_work, depth, envelope, reject, send
from tests.unit.messages.wire import properties
from tests.world import Run, Vhost, eventually


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    declare_work(vhost)
    return connect(vhost)


def test_what_it_tells(ops: Ops, vhost: Vhost) -> None:
    send(ops, envelope(age=timedelta(minutes=5)), key="job.a")
    reject(vhost, 1)
    seen = ops.messages.peek("dead")
    (look,) = seen.messages
    assert (seen.ready, look.type, look.retries, look.redelivered) == (1, "ExecutionRequested", 1, False)
    assert look.age is not None
    assert timedelta(minutes=5) <= look.age < timedelta(minutes=10)
    assert look.here == ("a consumer of work rejected it", "it was published to exchange work with key 'job.a'")
    assert look.body["payload"]["execution_id"] == 1
    (again,) = ops.messages.peek("dead").messages
    assert again.redelivered
    assert depth(vhost, "dead") == 1


def test_what_a_consumer_holds_is_said(ops: Ops, vhost: Vhost, run: Run) -> None:
    send(ops, *[envelope(n=n) for n in range(3)])
    with vhost.channel() as channel:
        channel.basic_qos(prefetch_count=10)
        channel.basic_consume("work", lambda *_: None)
        held = "its consumers hold 3 unacknowledged messages (a statistic, seconds old); peek shows ready messages only"
        eventually(lambda: held in ops.messages.peek("work").notes, every=1)
        assert "0 of 0 ready messages in queue work" in run("messages", "peek", "work", target=vhost, status=0).stdout


def test_order_and_number_stay(ops: Ops, vhost: Vhost) -> None:
    send(ops, *[envelope(n=n) for n in range(5)])
    for _ in range(3):
        assert [m.body["payload"]["n"] for m in ops.messages.peek("work", 3).messages] == [0, 1, 2]
    assert [m.n for m in ops.messages.peek("work", filters=["$.payload.n>2"]).messages] == [4, 5]
    assert [b["payload"]["n"] for b in bodies(ops, "work")] == [0, 1, 2, 3, 4]


@pytest.mark.parametrize("format", ["table", "text", "json", "csv", "markdown", "html"])
def test_no_secret_in_any_form(format: str, ops: Ops, vhost: Vhost) -> None:
    raw, body = envelope(candidate_access_token=SECRET, note=json.dumps({"api_key": SECRET}), url=f"x://u:{SECRET}@h/")
    headers = properties(headers={"authorization": SECRET, "deep": {"token": [SECRET]}}, reply_to=f"q?token={SECRET}")
    send(ops, (raw, body), (headers, body), (raw, b"\xff not JSON " + SECRET.encode()), (raw, body[:-1]))
    made = form(ops.messages.peek("work"), format)
    shown = (
        made
        if isinstance(made, str)
        else json.dumps(made)
        if format == "json"
        else form(ops.messages.peek("work"), "text")
    )
    assert SECRET not in shown
    assert "ExecutionRequested" in shown


def test_the_runs_own_password_and_configured_names_are_masked(ops: Ops, vhost: Vhost) -> None:
    own = Ops(msgspec.structs.replace(ops.settings, redact=("customer_*",)))
    send(ops, envelope(customer_name="Ada Lovelace", note=f"login with {vhost.password}-{vhost.user}"))
    shown = str(own.messages.peek("work"))
    assert "Lovelace" not in shown
    assert vhost.password == "guest" or vhost.password not in shown


def test_revealing_asks_and_is_journaled(ops: Ops, vhost: Vhost, run: Run) -> None:
    send(ops, envelope())
    refused = run("messages", "peek", "work", "--reveal", target=vhost, status=2)
    assert "--confirm reveal" in refused.stderr
    shown = run("messages", "peek", "work", "--reveal", "--confirm", "reveal", target=vhost, status=0)
    assert SECRET in shown.stdout
    assert SECRET not in run("messages", "peek", "work", target=vhost, status=0).stdout
    protected = Ops(msgspec.structs.replace(ops.settings, env="prod", protected=True))
    with pytest.raises(ConfigError, match="protected"):
        protected.messages.peek("work", reveal=True)
    assert protected.messages.peek("work", reveal=True, confirm="prod").revealed
    assert [e.what for e in audit.entries()] == ["messages peek --reveal"] * 2


def test_hostile_content_is_only_shown(ops: Ops, vhost: Vhost, run: Run) -> None:
    for name in NAMES:
        raw = properties(message_id=name.encode()[:255].decode(errors="ignore"), headers={name[:60]: name})
        send(ops, (raw, json.dumps({"message_type": name, "payload": {name: [name]}}).encode()), (raw, name.encode()))
    done = run("messages", "peek", "work", "--count", "100", target=vhost, status=0)
    assert all(c.isprintable() or c == "\n" for c in done.stdout)
    assert f"{2 * len(NAMES)} of {2 * len(NAMES)} ready messages" in done.stdout
    seen = json.loads(
        run("messages", "peek", "work", "--count", "100", "--format", "json", target=vhost, status=0).stdout
    )
    # The value of what is called `../../etc/passwd` is a secret, by the last of its words.
    assert {m["type"] for m in seen["messages"]} >= {n for n in NAMES if "passwd" not in n}


def test_a_protected_environment_wants_its_name_for_each_change(ops: Ops, vhost: Vhost, tmp_path: Path) -> None:
    protected = Ops(msgspec.structs.replace(ops.settings, env="prod", protected=True))
    send(ops, envelope())
    file = tmp_path / "f"
    messages = protected.messages
    changes: tuple[Callable[[str | None], Transfer], ...] = (
        lambda confirm: messages.move("work", "dead", apply=True, confirm=confirm),
        lambda confirm: messages.drain("dead", file, apply=True, confirm=confirm),
        lambda confirm: messages.restore(file, exchange="", routing_key="work", apply=True, confirm=confirm),
    )
    for change in changes:
        with pytest.raises(ConfigError, match="protected"):
            change(None)
        assert change("prod").applied
    assert depth(vhost, "work") == 1
    assert [e.result for e in audit.entries()] == ["started", "done"] * 3
    assert attune_ops.connect(amqp_url=vhost.amqp_url).settings.protected is False
