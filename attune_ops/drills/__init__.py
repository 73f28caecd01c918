"""Failover drills: a failure made to happen for real, and every message accounted for.

One file a drill, found by convention: a generator marked with `@drill`, which takes a `Stage`, breaks things
through it (the stage registers each undo before the fault) and yields what it expects, each with a time limit.
The runner polls, undoes in reverse order whatever happens, accounts for every message and writes the journal.
Modules whose name begins with an underscore are the drills' own machinery.
"""

from __future__ import annotations

import importlib
import inspect
import pkgutil
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any, Literal

import msgspec

from attune_ops.model.errors import ConfigError

if TYPE_CHECKING:
    from attune_ops.drills._expecting import Expect
    from attune_ops.drills._stage import Stage

Play = Callable[["Stage"], Iterator["Expect"]]
Needs = Literal["vhost", "node", "cluster"]


class Drill(msgspec.Struct, frozen=True):
    """One drill: what is supposed, what RabbitMQ promises and where it says so, and the generator that plays it.

    `needs` is what it breaks: things in a virtual host, a whole node, or the nodes of a cluster of three; the
    latter two run on a broker that the drill starts. `worker` is how its workers behave; `heartbeat_s` is their
    heartbeat in the registry. `config` are lines of rabbitmq.conf for its own broker, `since` is the least release
    of RabbitMQ that it makes sense with.
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

    @property
    def explanation(self) -> str:
        """What the drill does, and what to do about it."""
        return inspect.getdoc(self.play) or ""


def drill(name: str, *, hypothesis: str, promise: str, source: str, **more: Any) -> Callable[[Play], Play]:
    """Makes a generator function a drill."""

    def mark(function: Play) -> Play:
        made = Drill(name=name, hypothesis=hypothesis, promise=promise, source=source, play=function, **more)
        function.drill = made  # type: ignore[attr-defined]
        return function

    return mark


def all_drills() -> dict[str, Drill]:
    """Every drill on this package's path, by name."""
    found: dict[str, Drill] = {}
    for info in pkgutil.iter_modules(__path__):
        if info.name.startswith("_") or info.ispkg:
            continue
        module = importlib.import_module(f"{__name__}.{info.name}")
        found |= {v.drill.name: v.drill for v in vars(module).values() if isinstance(getattr(v, "drill", None), Drill)}
    return dict(sorted(found.items()))


def find(name: str) -> Drill:
    """The drill of that name; raises `ConfigError` naming those there are."""
    known = all_drills()
    if name not in known:
        raise ConfigError(f"no drill {name!r}; there are {', '.join(known)}")
    return known[name]
