"""What a definitions import leaves on a real broker, and its exports with several virtual hosts."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest
from pika.exceptions import ChannelClosedByBroker

from tests.world import Broker, Run, Vhost

# As scripts write them by hand: without `auto_delete`, and with an array for an empty table.
IMPORTED = {"exchanges": [{"name": "attune.events", "type": "topic", "durable": True, "arguments": []}]}


def test_an_exchange_imported_without_auto_delete(vhost: Vhost, run: Run) -> None:
    vhost.api("POST", "definitions/{vhost}", IMPORTED)
    stored = vhost.api("GET", "exchanges/{vhost}/attune.events").json()["auto_delete"]
    if stored != "undefined":
        pytest.skip(f"this broker stores {stored!r}")
    with vhost.channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        channel.exchange_declare("attune.events", "topic", durable=True)
    answer = str(refused.value.reply_text)

    rows = json.loads(run("exchanges", "attune.events", "--format", "json", target=vhost, status=0).stdout)["rows"]
    assert rows[0]["auto_delete"] is None
    for command in (["queues"], ["bindings"], ["orphans"], ["topology", "export", "--live", "--to", "toml"]):
        assert "unknown form" not in run(*command, target=vhost).stderr
    difference = next(
        d
        for d in json.loads(run("topology", "diff", "--format", "json", target=vhost, status=1).stdout)["differences"]
        if (d["difference"], d["subject"]["name"]) == ("different", "attune.events")
    )
    assert difference["declaring"]["text"] == answer, "word for word what a service gets"

    exported = run.folder / "one.json.gz"
    exported.write_bytes(gzip.compress(vhost.api("GET", "definitions/{vhost}").content))
    report = json.loads(run("doctor", "--from", exported, "--only", "AT205", "--format", "json", status=1).stdout)
    (finding,) = report["findings"]
    assert (finding["code"], finding["severity"], finding["subject"]["name"]) == ("AT205", "error", "attune.events")


def test_an_export_of_a_broker_with_several_virtual_hosts(broker: Broker, run: Run) -> None:
    with broker.vhost() as one, broker.vhost() as two, broker.vhost():
        run("topology", "apply", "--apply", "--topology", "attune-2026-01", target=one, status=0)
        with two.channel() as channel:
            channel.queue_declare("other", durable=True)
        file = whole_export(broker, run.folder / "whole.json")
        names = f"{min(one.name, two.name)!r}, {max(one.name, two.name)!r}"
        for words in (
            "doctor --from",
            "report --output report.html --from",
            "snapshot show",
            "topology diff --from",
            "topology export --from",
            "topology graph --from",
        ):
            command = (*words.split(), str(file))
            refused = run(*command, status=2)
            assert "it has several virtual hosts, give --vhost: " in refused.stderr
            assert all(name in refused.stderr for name in names.split(", "))
            assert refused.stderr.count("\n") == 1
            done = run(*command, "--vhost", one.name)
            assert done.returncode in (0, 1), done.stderr
        assert run("topology", "diff", "--from", file, "--vhost", one.name, status=0)
        assert json.loads(run("route", "attune.events", "k", "--from", file, "--vhost", one.name, "--format", "json",
                              status=0).stdout)["queues"] == ["attune.events.queue"]  # fmt: skip
        with two.channel() as channel:
            channel.queue_delete("other")
        after = whole_export(broker, run.folder / "after.json")
        changed = json.loads(run("snapshot", "diff", file, after, "--format", "json", status=1).stdout)["rows"]
        assert ("went", "queue", "other", two.name) in {
            (r["change"], r["object"], r["name"], r["vhost"]) for r in changed
        }
        of_one = run("snapshot", "diff", file, after, "--vhost", one.name, status=0)
        assert "no changes" in of_one.stdout


def whole_export(broker: Broker, file: Path) -> Path:
    """The export of the whole broker, without the virtual hosts of tests that run at the same time."""
    file.write_bytes(broker.api("GET", "definitions").content)
    return file
