"""snapshot save, show and diff of a real installation, whole and as a user sees it who may see little."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

from attune_ops.model.facts import Source
from attune_ops.model.snapshot_file import load_facts
from tests.world import Run, Users, Vhost, eventually


def save(run: Run, vhost: Vhost, name: str) -> Path:
    done = run("snapshot", "save", f"{name}.json.gz", target=vhost, status=0)
    assert done.stdout == f"{name}.json.gz\n"
    return run.folder / f"{name}.json.gz"


def test_save_show_and_diff(vhost: Vhost, run: Run, user: Users) -> None:
    password = "s3cret-Pässword"
    operator = user(vhost, tags="monitoring", password=password)
    run("topology", "apply", "--apply", "--topology", "attune-2026-01", target=operator, status=0)
    one = save(run, operator, "one")
    assert password not in gzip.decompress(one.read_bytes()).decode()
    again = run("snapshot", "save", "one.json.gz", target=operator, status=2)
    assert "the file exists; --force overwrites it" in again.stderr

    shown = {
        r["source"]: r for r in json.loads(run("snapshot", "show", one, "--format", "json", status=0).stdout)["rows"]
    }
    assert (shown["broker"]["told"], shown["registry"]["told"]) == (True, False)
    assert "3 queues" in shown["broker"]["detail"]
    assert "no worker registry is configured" in shown["registry"]["detail"]

    with vhost.channel() as channel:
        channel.queue_delete("attune.notifications.queue")
        channel.queue_declare("new", durable=True)
        channel.basic_publish("attune.events", "event.created", b"{}", mandatory=True)
        channel.basic_consume("attune.events.queue", lambda *_: None, consumer_tag="me")
        eventually(
            lambda: len(load_facts(str(resave(run, operator))).actual.consumers_of.get("attune.events.queue", ()))
        )
    told = json.loads(run("snapshot", "diff", one, "two.json.gz", "--format", "json", status=1).stdout)["rows"]
    changes = {(r["change"], r["object"], r["name"], r["attribute"]) for r in told}
    assert changes >= {
        ("went", "queue", "attune.notifications.queue", None),
        ("went", "binding", "attune.notifications → attune.notifications.queue ('')", None),
        ("came", "queue", "new", None),
        ("came", "consumer", "me on attune.events.queue", None),
        ("changed", "queue", "attune.events.queue", "messages"),
    }
    same = run("snapshot", "diff", one, one, status=0)
    assert "no changes" in same.stdout


def resave(run: Run, vhost: Vhost) -> Path:
    run("snapshot", "save", "two.json.gz", "--force", target=vhost, status=0)
    return run.folder / "two.json.gz"


def test_a_file_tells_the_same_as_the_broker(vhost: Vhost, run: Run) -> None:
    file = save(run, vhost, "empty")
    others = "nothing of Attune was in"  # the other virtual hosts, which come and go
    live, read = (run("topology", "diff", *more, target=vhost, status=1).stdout for more in ((), ("--from", file)))
    assert [x for x in read.splitlines() if others not in x] == [x for x in live.splitlines() if others not in x]


def test_a_user_who_sees_one_virtual_host(vhost: Vhost, run: Run, user: Users) -> None:
    limited = user(vhost, tags="management")
    facts = load_facts(str(save(run, limited, "limited")))
    assert facts.actual.queues == ()
    assert facts.missing_reason((Source.CONNECTIONS,))
    assert facts.missing_reason((Source.NODES,))


def test_a_broker_that_cannot_be_reached_is_saved_with_the_reason(run: Run) -> None:
    env = {"ATTUNE_OPS_AMQP_URL": "amqp://u:hunter2@127.0.0.1:9/", "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:9"}
    done = run("snapshot", "save", "down.json.gz", env=env, status=3)
    assert "broker" in next(
        line for line in done.stderr.splitlines() if line.startswith("not in it: the management API")
    )
    assert "hunter2" not in done.stderr + gzip.decompress((run.folder / "down.json.gz").read_bytes()).decode()
    assert load_facts(str(run.folder / "down.json.gz")).broker is None
