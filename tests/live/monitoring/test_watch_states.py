"""The live view where all is not well: slow, refused, empty, large; and a connection closed from it."""

from __future__ import annotations

import re
import shutil
import sqlite3
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pika
import pytest

from attune_ops.lab import Lab
from attune_ops.ops import connect
from tests.conftest import lacking
from tests.live.attack.proxy import between
from tests.live.monitoring.test_watch import SIZES
from tests.live.places import stopped_worker
from tests.tmux import Terminal, terminal
from tests.world import COMMAND, Broker, Run, Users, Vhost, eventually, loaded

QUEUE = "attune.executions.queue"
MANY = 10_000


@pytest.fixture
def vhost(module_lab: Lab) -> Iterator[Vhost]:
    if shutil.which("tmux") is None:
        lacking("no tmux")
    with Broker(module_lab.state.amqp_url, module_lab.state.management_url).vhost() as made:
        yield made


@pytest.fixture
def here(vhost: Vhost, run: Run, tmp_path: Path) -> dict[str, str]:
    """The environment of January's topology, with a stopped worker in the registry."""
    url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
    ops = connect(
        amqp_url=vhost.amqp_url, management_url=vhost.management_url, database_url=url, topology="attune-2026-01"
    )
    stopped_worker(ops.settings, "w1")
    ops.topology_apply(apply=True, force=True)
    return run.environment(vhost, env={"ATTUNE_OPS_DATABASE_URL": url, "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"})


def start(at: Terminal) -> None:
    at.type(f"{COMMAND} watch --interval 1s; echo status=$?")
    at.shows("workers ready", "Quit", within=60)


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_the_connection_of_an_unknown_consumer_is_closed(
    vhost: Vhost, here: dict[str, str], width: int, height: int
) -> None:
    connection = pika.BlockingConnection(pika.URLParameters(vhost.amqp_url))
    connection.channel().basic_consume(QUEUE, lambda *_: None, consumer_tag="eats")
    with terminal(here, width, height) as at:
        start(at)
        at.press("2")
        at.shows(QUEUE, "worst first")
        at.press("/")
        at.press(*"executions.queue")
        at.press("Enter")

        def detail() -> bool:
            at.press("Enter")
            return f"queue {QUEUE} ·" in at.text

        eventually(detail, within=60, every=1)
        at.shows("unknown consumer", "eats", within=60)  # its statistics come after up to 10 s
        at.press("x")
        at.shows("eats", "dry run: nothing was changed", "No undo", "connections close", "Apply")
        assert alive(connection)
        at.press("Escape")
        at.shows(f"queue {QUEUE}", lacks=("dry run",))
        assert alive(connection)
        at.press("x")
        at.shows("dry run: nothing was changed")
        at.press("a")
        at.shows("done; Esc closes")
        eventually(lambda: not alive(connection), within=30)
        at.press("Escape")
        at.shows(f"queue {QUEUE}", within=60, lacks=("unknown consumer", "eats"))
        at.press("C-c")
        at.shows("status=130")


def alive(connection: pika.BlockingConnection) -> bool:
    try:
        connection.process_data_events(time_limit=0)
    except pika.exceptions.AMQPError:
        return False
    return bool(connection.is_open)


@pytest.mark.slow
def test_a_slow_reading_holds_no_key(vhost: Vhost, here: dict[str, str]) -> None:
    with between(vhost) as (proxy, through), terminal(here | through, 80, 24) as at:
        start(at)
        at.shows("1 Workers 1", "every 1 s", within=40)
        proxy.turn("silent")
        at.shows("reading for ", within=40)
        at.press("2")
        at.shows(QUEUE)
        at.press("?")
        at.shows("help", "Esc")
        at.press("Escape")
        shown = at.shows("× broker away since", "values are", "old", "no answer", within=120)
        assert QUEUE in shown, "the last values stay"
        proxy.turn("none")
        at.shows(QUEUE, within=120, lacks=("broker away", "reading for"))
        at.press("q")
        at.shows("status=0")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_ten_thousand_workers(here: dict[str, str], width: int, height: int) -> None:
    now = datetime.now(UTC).isoformat()
    with sqlite3.connect(here["ATTUNE_OPS_DATABASE_URL"].removeprefix("sqlite:///")) as connection:
        rows = [(i, f"many{i}", "active", now) for i in range(2, MANY + 1)]
        connection.executemany("INSERT INTO worker (id, name, status, last_heartbeat) VALUES (?, ?, ?, ?)", rows)
    with terminal(here, width, height) as at:
        start(at)
        at.shows("1 Workers 10,000", "the first 500 of 10,000 rows", "0 of 10,000", within=60)
        waits = []
        for key, words in (("2", QUEUE), ("1", "the first 500"), ("s", "by state"), ("p", "paused"), ("?", "help")):
            began = time.monotonic()
            at.press(key)
            at.shows(words)
            waits.append(time.monotonic() - began)
        assert sorted(waits)[len(waits) // 2] < loaded(5), "1 s on an idle machine"
        at.press("Escape")
        at.shows("10,000 rows", "paused")
        at.press("/")
        at.press(*"many7777")
        at.shows("many7777", "filter 'many7777'", lacks=("many777 ", "the first 500"))
        at.press("C-c")
        at.shows("status=130")


@pytest.mark.parametrize(
    ("tags", "configure", "says"),
    [
        ("", ".*", ("× no access since", "401")),
        ("monitoring", None, ("× no access since", "has no permission")),
    ],
)
def test_without_permissions(
    vhost: Vhost, here: dict[str, str], run: Run, tags: str, configure: str | None, says: tuple[str, ...]
) -> None:
    users = Users(vhost.broker)
    try:
        seen = users(vhost, tags=tags, configure=configure)
        with terminal(here | seen.environment, 200, 60) as at:
            start(at)
            shown = at.shows(*says)
            assert seen.password not in shown
            at.press("2")
            at.shows("? unknown", lacks=("– no queues",))
            at.press("3")
            at.shows("? unknown", lacks=("√ no orphaned",))
            assert "healthy:" not in at.text
            at.press("C-c")
            at.shows("status=3")
    finally:
        users.close()


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_an_empty_broker(vhost: Vhost, run: Run, tmp_path: Path, width: int, height: int) -> None:
    with terminal(run.environment(vhost), width, height) as at:
        start(at)
        at.shows("no Attune topology")
        at.press("1")
        at.shows("no worker registry is configured")
        at.press("2")
        at.shows("– no queues")
        at.press("3")
        at.shows("? unknown", lacks=("√ no orphaned",))
        assert re.search(r"— of —", at.text)
        at.press("C-c")
        at.shows("status=130")
