"""What a drill works with: its parameters, its services, faults, broker and expectations, and what it may lose."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

from attune_ops.drills.broker import Broker
from attune_ops.drills.expectations import Expectation, Expectations
from attune_ops.drills.faults import Faults
from attune_ops.drills.journal import Event, Timeline
from attune_ops.drills.ledger import Attempt, Leftover
from attune_ops.drills.parameters import Setup
from attune_ops.drills.sampler import DrillLog, Sampler
from attune_ops.drills.services import Services
from attune_ops.model.topology import Topology
from attune_ops.startup.processes import RunningService

Steps = Iterator[Expectation]  # what a drill yields, one after the other

DELETED = "deleted together with its queue"
BROKER_RESTART = "not kept over the restart of the broker"
NODE_LOST = "deleted with the node that held it"
MEASURED = "measured: "  # begins a step that docs/failover.md lists
TIMELINE_S = 0.5  # how often `on_timeline` is called


class Context:
    """What one run of a drill works with; `settings` point at its scratch virtual host.

    The drill starts `services`, makes `faults` in them, in the network or in the `broker`, and expects with `expect`;
    `log` and `sampler` record it.
    """

    def __init__(
        self, setup: Setup, on_event: Callable[[Event], None], on_timeline: Callable[[Timeline], None]
    ) -> None:
        self.settings, self.parameters, self.folder = setup.settings, setup.parameters, setup.folder
        self.undo, self.registry, self.remedy = setup.undo, setup.registry, setup.remedy
        self.log = DrillLog(on_event)
        self.sampler = Sampler(setup.settings, self.log)
        self.faults = Faults(self.log)
        self.broker = Broker(setup, self.faults, self.log)
        self.services = Services(setup, self.log, self.sampler)
        self.expect = Expectations(setup.settings, self.sampler, setup.parameters.rate)
        self.allowed: set[str] = set()
        self.predicted: set[str] = set()
        self.lost_queues: dict[str, str] = {}
        self.attempts: list[Attempt] = []  # what the drill publishes itself
        self.found: list[Leftover] = []  # and what it finds of that in a queue
        self.expires = False  # whether messages have a time to live here
        self._on_timeline, self._drawn_at = on_timeline, 0.0

    @property
    def topology(self) -> Topology:
        """What is declared in the scratch virtual host."""
        return self.settings.topology

    @property
    def count(self) -> int:
        """How many messages a load sends."""
        return self.parameters.count

    def has_remedy(self, name: str) -> bool:
        """Whether the mitigation of that name is in place."""
        return self.remedy is not None and self.remedy.name == name

    def allow(self, *classes: str) -> None:
        """Allows classes of the ledger besides messages that were handled once."""
        self.allowed |= set(classes)

    def predict(self, *classes: str) -> None:
        """Allows classes of the ledger, and expects messages in each: without one the hypothesis was not tested."""
        self.allow(*classes)
        self.predicted |= set(classes)

    def allow_loss(self, queue: str, reason: str = DELETED) -> None:
        """Allows lost messages, and gives the reason for those of a queue."""
        self.allow("lost")
        self.lost_queues[queue] = reason

    def allow_loss_at_dispatch(self) -> None:
        """Allows that a killed worker loses what it acknowledged at dispatch, where the topology's workers do so."""
        if self.topology.dispatch_loses:
            self.allow("lost")

    def send(self, *to: RunningService, **more: Any) -> Expectation:
        """Starts a load for these workers (`Services.load`), and expects that all its messages are sent."""
        return self.expect.sent(self.services.load(*to, **more), self.count)

    def sample(self) -> None:
        """Samples the queues, and reports the timeline where that is due."""
        self.sampler.sample()
        if time.monotonic() - self._drawn_at > TIMELINE_S:
            steps, queues, samples = tuple(self.log.events), tuple(self.sampler.queues), self.sampler.padded
            remedy = self.remedy.name if self.remedy else None
            self._on_timeline(Timeline(self.undo.record.drill, self.log.now_ms, steps, queues, samples, remedy))
            self._drawn_at = time.monotonic()

    def close(self) -> None:
        """Closes the connections and relays of the drill."""
        self.sampler.close()
        self.faults.close()
