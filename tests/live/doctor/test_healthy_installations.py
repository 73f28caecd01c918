"""Healthy installations on the real broker: no error, no warning, no long screen, at whatever time one looks.

The installations are started first, each in a virtual host of its own, and looked at at once, as after a deployment,
and again when the broker's statistics show all of it.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest

from attune_ops.startup.processes import start_service, stop_all
from attune_ops.startup.standins.job import Behaviour
from tests import migrations
from tests.live.doctor.broken import policy
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.live.screen import COLUMNS, Screen, doctor
from tests.postgres import Server
from tests.world import Run, Users, Vhost, eventually

SIX = "attune-0.6"
RELEASES = (JANUARY, SEPTEMBER, SIX)
DEAD_LETTERS = "attune-ops policy apply dead-letters --apply"  # 0.5 and 0.6 lose them, healthy or not
CHANGING = ("--apply", "rabbitmqctl")
LINES = 25


def with_foreign_applications(p: Place) -> None:
    """Somebody else's objects: a backlog nobody reads, an idle exchange, a tap, a policy, a dead-letter exchange."""
    with p.vhost.channel() as channel:
        for name in ("shop.orders", "shop.unused"):
            channel.exchange_declare(name, "topic", durable=True)
        channel.queue_declare("shop.orders", durable=True, arguments={"x-dead-letter-exchange": "shop.nowhere"})
        channel.queue_bind("shop.orders", "shop.orders", "#")
        channel.queue_declare("shop.tap", durable=True)
        channel.queue_bind("shop.tap", "attune.events", "event.*")
        for _ in range(20):
            channel.basic_publish("shop.orders", "new", b"{}")
    policy(p, "shop", "^shop", max_length=50)


def with_replicas(p: Place) -> None:
    """A second executor, sensor and API, and five workers."""
    for service in ("executor", "sensor", "api", "api"):
        p.start(service)
    for name in ("w3", "w4", "w5"):
        p.start("worker", name)


def with_harmless_policies(p: Place) -> None:
    """Limits that lose nothing confirmed, and the dead-letter policy that the toolkit advises."""
    policy(p, "refuse", "^attune.execution", max_length=100_000, overflow="reject-publish")
    policy(p, "unused", r"^worker\.", expires=86_400_000)
    policy(p, "lazy", "^attune.inquiry", queue_mode="lazy")
    policy(p, "shop", "^shop", max_length=50)


def with_stopped_workers(p: Place) -> None:
    """Workers that stopped cleanly in January's release: their queues went with them."""
    for name in ("w3", "w4"):
        p.start("worker", name).stop()


def restarted(p: Place) -> None:
    """A rolling restart of every service."""
    for service, name in (("executor", None), ("sensor", None), ("worker", "w1"), ("worker", "w2")):
        p.services[name or service].stop()
        p.start(service, name)


def just_started(p: Place) -> None:
    """The workers are registered now, and their services connected in this second."""
    p.sql("UPDATE worker SET created = last_heartbeat")


def with_an_untidy_past(p: Place) -> None:
    """Executions of all kinds that ended, and one that runs."""
    p.sql("CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT, worker INTEGER, updated TEXT)")
    for number, status in enumerate(("completed", "failed", "cancelled", "timeout", "abandoned")):
        p.sql(f"INSERT INTO execution VALUES ({number}, 'a', '{status}', 1, '2026-01-01 00:00:00')")
    p.sql("INSERT INTO execution VALUES (9, 'a', 'running', 1, datetime('now'))")


INSTALLATIONS: dict[str, tuple[str, Callable[[Place], None]]] = {
    **{f"release {name}": (name, lambda p: None) for name in RELEASES},
    "replicas": (SIX, with_replicas),
    "foreign applications": (SEPTEMBER, with_foreign_applications),
    "foreign applications, January": (JANUARY, with_foreign_applications),
    "harmless policies": (SIX, with_harmless_policies),
    "just started": (SIX, just_started),
    "a rolling restart": (SEPTEMBER, restarted),
    "stopped workers": (JANUARY, with_stopped_workers),
    "executions": (SIX, with_an_untidy_past),
}


def trouble(screen: Screen) -> list[str]:
    """Why the screen is not that of a healthy installation."""
    why = [line for line in screen.lines if line.startswith(("ERROR", "WARNING"))]
    if "no problems except" not in screen.lines[0]:
        why.append(f"verdict: {screen.lines[0]}")
    if screen.lines[0] != screen.lines[-1]:
        why.append("the last line is not the verdict")
    about_others = _infos(screen)  # what it says of foreign objects comes on top
    if len(screen.lines) - about_others > LINES or max(map(len, screen.lines)) > COLUMNS:
        why.append(f"{len(screen.lines)} lines of {max(map(len, screen.lines))} columns, {about_others} about others")
    return [*why, *screen.lines] if why else []


def _infos(screen: Screen) -> int:
    """The lines of the block of infos, with the empty one after it and the hint at the end."""
    begin = next((i for i, line in enumerate(screen.lines) if line.startswith("INFO")), None)
    return 0 if begin is None else screen.lines.index("", begin) - begin + 2


def all_listed(p: Place) -> bool:
    """Whether the statistics show every consumer."""
    state = p.look(["AT405"]).facts.actual
    named = {q.name for q in p.settings.topology.base_queues}
    return all(state.consumers_of.get(c.queue) for c in p.settings.topology.consumers if c.queue in named)


def looks_healthy(p: Place, run: Run, monitoring: Vhost) -> list[str]:
    """What the command says, as an administrator and as a user that may only monitor."""
    found = []
    for who, env in (("administrator", {}), ("monitoring", monitoring.environment)):
        screen = doctor(p, run, env)
        found += [f"{who}: {line}" for line in trouble(screen)]
        if screen.status:
            found += [f"{who}: exit status {screen.status}", *screen.lines]
    return found


@pytest.mark.slow
def test_healthy_installations(place: Callable[..., Place], user: Users, run: Run) -> None:
    places = {name: place(topology).populate() for name, (topology, _) in INSTALLATIONS.items()}
    for name, p in places.items():
        INSTALLATIONS[name][1](p)
    found: dict[str, list[str]] = {}
    for name, p in places.items():
        found[f"{name}, at once"] = trouble(doctor(p, run))
    for name, p in places.items():
        eventually(lambda p=p: all_listed(p), within=30, every=1)  # type: ignore[misc]
        lesser = user(p.vhost, tags="monitoring", configure="", write="", read="")
        found[name] = looks_healthy(p, run, lesser)
    assert not any(found.values()), "\n".join(f"{n}: {line}" for n, lines in found.items() for line in lines)
    for name in RELEASES:  # recognised without being named, and no command would change anything
        p = places[f"release {name}"]
        env = {k: v for k, v in p.environment.items() if k != "ATTUNE_OPS_TOPOLOGY"}
        report = json.loads(run("doctor", "--format", "json", env=env, status=0).stdout)
        assert (report["target"]["topology"], report["target"]["recognised"]) == (name, True)
        commands = [c for f in report["findings"] for c in f["commands"] if c != DEAD_LETTERS]
        assert not [c for c in commands if any(word in c for word in CHANGING)]
        p.beat()
        assert run("health", "worker", "w1", "--wait", "20s", env=env).stdout.startswith("healthy: ")


@pytest.mark.slow
@pytest.mark.parametrize("topology", [JANUARY, SIX])
def test_busy_and_beside_others(
    topology: str, place: Callable[..., Place], user: Users, run: Run, tmp_path: Path
) -> None:
    """Processes that publish, schedule and work, at each of several looks."""
    p = place(topology)
    services = [
        start_service(p.settings, service, name, tmp_path / f"{name}.log", behaviour)
        for service, name, behaviour in (
            ("executor", "executor", Behaviour(rate=20)),
            ("sensor", "sensor", Behaviour(rate=20)),
            *([("api", "api", Behaviour(rate=1))] if topology == SIX else []),
            ("worker", "w1", Behaviour(handler_s=0.01)),
            ("worker", "w2", Behaviour(handler_s=0.01)),
        )
    ]
    try:
        for service in services:
            service.wait_for("ready", timeout=30)
        with_foreign_applications(p)
        lesser = user(p.vhost, tags="monitoring", configure="", write="", read="")
        for _ in range(2):
            why = looks_healthy(p, run, lesser)
            assert not why, "\n".join(why)
        # Not AT509: unroutable messages are counted for all virtual hosts, also those of tests beside this one.
        grown = run("doctor", "--samples", "2", "--skip", "AT509", env=p.environment, status=0).stdout
        assert not [line for line in grown.splitlines() if line.startswith(("ERROR", "WARNING"))]
    finally:
        stop_all(services)


@pytest.fixture
def on_postgres(postgres: Server, place: Callable[..., Place]) -> Iterator[Place]:
    """Release 0.6 with its registry in PostgreSQL, as its own migrations make it."""
    with ExitStack() as stack:
        p = place(SIX)
        url = stack.enter_context(postgres.database(migrations.RELEASE_0_6))
        p.use_registry(url)
        p.populate()
        stack.callback(p.close)
        yield p


def test_with_the_registry_of_0_6(on_postgres: Place, user: Users, run: Run) -> None:
    p = on_postgres
    with psycopg.connect(p.database) as connection:
        (count,) = connection.execute("SELECT count(*) FROM attune.worker").fetchone() or (0,)
    assert count == 2
    eventually(lambda: all_listed(p), within=30, every=1)
    why = looks_healthy(p, run, user(p.vhost, tags="monitoring", configure="", write="", read=""))
    assert not why, "\n".join(why)
