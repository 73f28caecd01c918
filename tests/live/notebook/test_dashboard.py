"""The dashboard on a real broker, by its widgets' values: what it shows, changes, survives, and leaves behind."""

from __future__ import annotations

import re
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.installation.config import resolve
from attune_ops.model.facts import Facts
from attune_ops.notebook.dashboard import Overview, dashboard
from attune_ops.notebook.dashboard.page import Dashboard
from attune_ops.ops import Ops
from tests.live.places import stopped_worker
from tests.world import Broker, Vhost, eventually, loaded

JANUARY = "attune-2026-01"


class Counted(Ops):
    """An installation that counts how often it is read."""

    reads = 0

    def facts(self, *arguments: Any, **more: Any) -> Facts:
        self.reads += 1
        return super().facts(*arguments, **more)


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path) -> Ops:
    made = Counted(vhost.settings(f"sqlite:///{tmp_path}/registry.sqlite"))
    made.topology_apply(apply=True, force=True)
    stopped_worker(made.settings, "w1")
    return made


@pytest.fixture
def board(ops: Ops) -> Iterator[Dashboard]:
    made = dashboard(ops, interval=1.0)
    assert isinstance(made, Dashboard)
    try:
        eventually(lambda: made.collector.state.facts, within=60)
        yield made
    finally:
        made.close()


def choose(board: Dashboard, title: str) -> Any:
    """Opens a tab and returns its view."""
    place = next(i for i, v in enumerate(board.views) if v.title == title)
    board.tabs.selected_index = place
    return board.views[place]


def look(board: Dashboard) -> None:
    """Waits for a look that began from here on."""
    looks = board.collector.state.reads

    def looked_twice() -> bool:
        board.collector.read_now()  # the look under way may have begun before
        return board.collector.state.reads >= looks + 2

    eventually(looked_twice, within=60, every=0.3)


@pytest.fixture(autouse=True)
def others() -> Iterator[None]:
    """The threads that tests before this one have left to the end of a request that is not answered."""
    OTHERS.update(threads())
    yield
    OTHERS.clear()


OTHERS: set[threading.Thread] = set()


def threads() -> list[threading.Thread]:
    """Those of this test."""
    return [t for t in threading.enumerate() if t.name.startswith("attune-ops") and t not in OTHERS]


def test_a_number_changes_after_a_real_publish(board: Dashboard, vhost: Vhost) -> None:
    grid = choose(board, "Queues").grid
    grid.filter = "events"
    assert names(grid) == ["attune.events.queue"]
    with vhost.channel() as channel:
        for _ in range(37):
            channel.basic_publish("attune.events", "event.created", b"{}")
    waiting = ("37", "warning", "")  # that nobody consumes is in the statistics after up to 5 s
    eventually(lambda: tuple(grid.content["rows"][0][2]) == waiting, within=60)
    assert "," in grid.content["rows"][0][1][2], "the points of the line of its depths"


def names(grid: Any) -> list[str]:
    return [row[0][0] for row in grid.content["rows"]]


def test_filter_and_order(board: Dashboard, vhost: Vhost) -> None:
    for name, messages in (("alpha", 3), ("beta", 1)):
        vhost.api("PUT", "queues/{vhost}/" + name, {"durable": True})
        with vhost.channel() as channel:
            for _ in range(messages):
                channel.basic_publish("", name, b"x")
    grid = choose(board, "Queues").grid
    eventually(lambda: {"alpha": 3, "beta": 1}.items() <= depths(board).items(), within=60)
    look(board)
    grid.filter = "/^(alpha|beta)$/"
    grid.order, grid.descending = "messages", False
    assert names(grid) == ["beta", "alpha"]
    grid.descending = True
    assert names(grid) == ["alpha", "beta"]
    grid.filter = "/(/"
    assert names(grid) == []
    assert "is not a regular expression" in grid.content["notes"][0]
    grid.filter = "no such queue"
    assert grid.content["notes"] == ["No rows."]


def depths(board: Dashboard) -> dict[str, int | None]:
    facts = board.collector.state.facts
    return {} if facts is None else {n: q.messages for n, q in facts.actual.queue_named.items()}


def test_every_tab_draws_and_one_read_serves_all(board: Dashboard, ops: Counted) -> None:
    board.pause.value = True
    look(board)
    for view in board.views:
        choose(board, view.title)
    look(board)
    eventually(lambda: ops.reads == board.collector.state.reads)  # once none is under way
    assert "RabbitMQ" in choose(board, "Overview").body.value
    assert "attune.executions" in names(choose(board, "Bindings").grid)
    view = choose(board, "Doctor")
    view.group.value = "design"
    assert "AT606" in view.body.value
    view.severity.value = "error"
    assert "AT606" not in view.body.value


def test_the_clean_up_takes_two_steps_and_just_the_chosen_queue(board: Dashboard, vhost: Vhost) -> None:
    names = ("worker.71.executions", "worker.72.executions")
    for name in names:
        vhost.api("PUT", f"queues/{{vhost}}/{name}", {"durable": True})
    view = choose(board, "Orphans")
    eventually(lambda: set(names) <= set(view.queue.options), within=60)
    view.queue.value, view.grace.value = names[0], 0
    assert view.delete.disabled
    view.plan.click()
    eventually(lambda: not view.delete.disabled, within=60)
    assert names[0] in view.outcome.value
    assert names[1] not in view.outcome.value
    view.queue.value = names[1]
    assert view.delete.disabled, "the plan was for another queue"
    view.queue.value = names[0]
    view.plan.click()
    eventually(lambda: not view.delete.disabled, within=60)
    view.delete.click()
    eventually(lambda: names[0] not in vhost.names("queues"), within=60)
    assert names[1] in vhost.names("queues")


def test_a_start_up_shows_the_error_of_a_step_left_out(board: Dashboard) -> None:
    view = choose(board, "Start-up")
    view.skip.value = ("declare", "bind")
    view.run.click()
    eventually(lambda: "404 NOT_FOUND" in view.outcome.value, within=60)


def test_what_cannot_be_read_is_said_before_anything_was(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    read, facts = threading.Event(), ops.facts
    monkeypatch.setattr(ops, "facts", lambda *given, **more: facts(*given, **more) if read.wait(60) else None)
    amqp = msgspec.structs.replace(ops.settings.amqp, port=1)
    management = msgspec.structs.replace(ops.settings.management, port=1)
    ops.settings = msgspec.structs.replace(ops.settings, amqp=amqp, management=management)
    board = dashboard(ops, interval=3600)
    assert isinstance(board, Dashboard)
    try:
        assert "reading" in board.status.value
        assert board.tabs.layout.display == "none"
        read.set()
        eventually(lambda: "broker not read" in board.status.value, within=60)
        assert "refused" in board.status.value
        eventually(lambda: "not read" in choose(board, "Overview").body.value, within=60)  # drawn after the status
        assert choose(board, "Queues").grid.content["rows"] == []
        assert "refused" in choose(board, "Queues").grid.content["notes"][0]
    finally:
        board.close()


def test_a_queue_keeps_its_colour_in_the_chart(board: Dashboard, vhost: Vhost) -> None:
    def colors() -> dict[str, str]:
        look(board)
        data = choose(board, "Overview").chart.outputs[0]["data"]["application/vnd.vegalite.v5+json"]
        scale = data["encoding"]["color"]["scale"]
        return dict(zip(scale["domain"], scale["range"], strict=True))

    before = colors()
    vhost.api("PUT", "queues/{vhost}/aaa", {"durable": True})
    with vhost.channel() as channel:
        for _ in range(9):
            channel.basic_publish("", "aaa", b"x")
    eventually(lambda: "aaa" in colors(), within=60)
    after = colors()
    assert {q: c for q, c in after.items() if q in before} == {q: c for q, c in before.items() if q in after}
    assert len(set(after.values())) == len(after)


def test_a_broker_that_goes_and_comes_back(board: Dashboard, ops: Ops) -> None:
    there = ops.settings
    away = msgspec.structs.replace(
        there,
        amqp=msgspec.structs.replace(there.amqp, port=1),
        management=msgspec.structs.replace(there.management, port=1),
    )
    ops.settings = away
    eventually(lambda: "stale for" in board.status.value, within=60)
    assert board.collector.state.facts is not None
    assert board.collector.state.facts.broker is not None
    ops.settings = there
    eventually(lambda: "stale for" not in board.status.value, within=60)


@pytest.fixture
def drilling(broker: Broker) -> Iterator[Any]:
    """The drills of a dashboard on an environment that allows them and is named."""
    target = {"amqp_url": broker.amqp_url, "management_url": broker.management_url}
    board = Dashboard(Ops(msgspec.structs.replace(resolve(target, {}), env="test", drills=True)), interval=3600.0)
    view = choose(board, "Drills")
    view.confirm.value = "test"
    try:
        yield view
    finally:
        board.close()
    eventually(lambda: not threads())


@pytest.mark.slow
def test_a_drill_runs_in_the_background_and_draws_its_timeline(drilling: Any) -> None:
    drilling.drill.value = "worker-crash"
    assert "backlog" in drilling.about.value, "what the drill is about"
    drilling.seconds.value, drilling.rate.value, drilling.workers.value = 1, 60, 1
    began = time.monotonic()
    drilling.run.click()
    assert time.monotonic() - began < loaded(1), "the kernel is free"
    drilling.run.click()  # one at a time
    eventually(lambda: "<svg" in drilling.picture.value, within=60)
    assert "worker-crash: running" in drilling.picture.value
    eventually(lambda: "scratch virtual host" in drilling.timeline.value, within=60)
    eventually(lambda: not drilling.run.disabled, within=120)
    assert "worker-crash: confirmed" in drilling.outcome.value
    assert "of 60 messages lost" in drilling.outcome.value
    assert drilling.outcome.value.count("<svg") == 1
    assert drilling.timeline.value.count("worker w1 started") == 2, "at first, and after the crash"


@pytest.mark.slow
def test_a_drill_that_is_stopped_undoes_what_it_did(drilling: Any, broker: Broker) -> None:
    drilling.drill.value = "worker-hang"
    drilling.run.click()
    eventually(lambda: "hangs" in drilling.timeline.value, within=60)
    scratch = re.findall(r"attune-ops-drill-\w+", drilling.timeline.value)[0]
    assert scratch in broker.vhosts
    drilling.stop.click()
    eventually(lambda: not drilling.run.disabled, within=60)
    assert "stopped" in drilling.outcome.value
    assert "resumes" in drilling.timeline.value, "the worker that hung was resumed"
    assert scratch not in broker.vhosts


def test_a_drill_wants_the_environment_s_name(drilling: Any) -> None:
    drilling.confirm.value = ""
    drilling.run.click()
    eventually(lambda: not drilling.run.disabled, within=60)
    assert "must be confirmed with its name" in drilling.outcome.value


def test_pause_and_close(board: Dashboard, vhost: Vhost) -> None:
    board.pause.value = True
    look(board)

    def rests() -> bool:
        """Whether nothing is read for more than two intervals; what was asked for before may still come."""
        looks = board.collector.state.reads
        threading.Event().wait(2.5)
        return board.collector.state.reads == looks

    eventually(rests, within=30)
    board.close()
    board.close()
    assert not threads()
    eventually(lambda: not vhost.api("GET", "vhosts/{vhost}/connections").json(), within=60)


def test_running_the_cell_again_closes_the_one_before(board: Dashboard, ops: Ops) -> None:
    again = dashboard(ops, interval=1.0)
    try:
        assert not board.collector.alive
        assert [t.name for t in threads()].count("attune-ops dashboard") == 1
    finally:
        again.close()  # type: ignore[union-attr]


def test_without_ipywidgets_it_is_static(ops: Ops, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "ipywidgets", None)
    made = dashboard(ops)
    assert isinstance(made, Overview)
    assert "attune.events.queue" in made._repr_html_()
    assert "attune.events.queue" in repr(made)
