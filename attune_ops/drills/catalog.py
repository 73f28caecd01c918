"""The drills that there are: what each says about itself, found by name, and all of them as a table."""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec

from attune_ops.drills import scenarios
from attune_ops.drills.context import Context, Steps
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table

Play = Callable[[Context], Steps]
Needs = Literal["vhost", "node", "cluster"]

COLUMNS = (
    Column("drill", doc="name for `drill run`"),
    Column("needs", Kind.CATEGORY, doc="a virtual host, its own broker, or its own cluster"),
    Column("rabbitmq", doc="RabbitMQ releases that it runs on"),
    Column("hypothesis", doc="what it tests"),
    Column("promise", doc="what RabbitMQ promises", priority=3),
    Column("source", doc="RabbitMQ's guide for the promise", priority=4),
    Column("about", doc="what it does, and what to do about it", priority=5),
)


class Drill(msgspec.Struct, frozen=True):
    """One drill: its hypothesis, what RabbitMQ promises and where, and the generator that runs it.

    `needs` is what it breaks: objects in a virtual host, a node, or nodes of a cluster of three; the latter two run on
    a broker that the drill starts. `worker` is the behaviour of its workers; `heartbeat_s` is their heartbeat in the
    registry. `config` are lines of rabbitmq.conf for its own broker, `since` is the oldest RabbitMQ release that it
    runs on. `alarms`: it sets resource alarms off itself.
    """

    name: str
    hypothesis: str
    promise: str
    source: str
    play: Play
    needs: Needs = "vhost"
    topology: str | None = None
    worker: dict[str, Any] = {}
    heartbeat_s: float = 30.0
    workers: int | None = None
    config: tuple[str, ...] = ()
    since: str | None = None
    alarms: bool = False

    @property
    def explanation(self) -> str:
        """What the drill does, and what to do about it."""
        return inspect.getdoc(self.play) or ""


def drill(*, hypothesis: str, promise: str, source: str, **more: Any) -> Callable[[Play], Play]:
    """Makes a generator function a drill with the function's name: `worker_crash` is `worker-crash`."""

    def mark(function: Play) -> Play:
        name = function.__name__.replace("_", "-")
        made = Drill(name=name, hypothesis=hypothesis, promise=promise, source=source, play=function, **more)
        function.drill = made  # type: ignore[attr-defined]
        return function

    return mark


def all_drills() -> dict[str, Drill]:
    """Every drill of `scenarios`, by name."""
    found: dict[str, Drill] = {}
    for info in pkgutil.iter_modules(scenarios.__path__):
        module = importlib.import_module(f"{scenarios.__name__}.{info.name}")
        found |= {v.drill.name: v.drill for v in vars(module).values() if isinstance(getattr(v, "drill", None), Drill)}
    return dict(sorted(found.items()))


def find(name: str) -> Drill:
    """The drill of that name; raises `ConfigError` with the names that exist."""
    known = all_drills()
    if name not in known:
        raise ConfigError(f"no drill {name!r}; known drills: {', '.join(known)}")
    return known[name]


def table() -> Table:
    """A row a drill."""
    rows = tuple(
        (
            d.name,
            d.needs,
            f"{d.since}+" if d.since else "any",
            d.hypothesis,
            d.promise,
            d.source,
            " ".join(d.explanation.split()),
        )
        for d in all_drills().values()
    )
    return Table("drills", COLUMNS, rows, datetime.now(UTC), key=("drill",))
