"""The fixtures themselves: what they hand out is real and separate."""

from __future__ import annotations

import psycopg
import pytest

from tests.world import Broker, Run, Users, Vhost


def test_a_vhost_is_fresh_and_usable(vhost: Vhost) -> None:
    with vhost.channel() as channel:
        channel.queue_declare("q", durable=True)
        channel.basic_publish("", "q", b"hello", mandatory=True)
    assert [q["name"] for q in vhost.api("GET", "queues/{vhost}").json()] == ["q"]


def test_a_user_has_its_own_rights(vhost: Vhost, user: Users, broker: Broker) -> None:
    from pika.exceptions import ChannelClosedByBroker

    reader = user(vhost, tags="monitoring", configure="")
    with reader.channel() as channel, pytest.raises(ChannelClosedByBroker) as refused:
        channel.queue_declare("q", durable=True)
    assert refused.value.reply_code == 403
    assert broker.api("GET", f"users/{reader.user}").json()["tags"] in ("monitoring", ["monitoring"])


def test_databases_of_two_releases(database: str, older_database: str) -> None:
    columns = (
        "SELECT column_name FROM information_schema.columns WHERE table_schema = 'attune' AND table_name = 'worker'"
    )
    with psycopg.connect(database) as present, psycopg.connect(older_database) as older:
        new = {row[0] for row in present.execute(columns)}
        old = {row[0] for row in older.execute(columns)}
    assert new - old == {"cordoned", "cordon_reason", "cordoned_by", "cordoned_at", "worker_role"}
    assert old < new


def test_the_command_runs(run: Run) -> None:
    assert run("--version", status=0).stdout.startswith("attune-ops ")
