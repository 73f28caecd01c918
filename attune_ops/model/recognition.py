"""Which topology a broker has: every known one is compared with the objects that are there. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

import msgspec

from attune_ops.model.snapshot import BrokerSnapshot, QueueState
from attune_ops.model.topology import Arguments, Binding, Per, Queue, Topology

SAMPLE = 200  # worker queues that are compared: those of one release are declared alike
LEAST = 0.5  # of a topology's objects: with fewer it is a broken installation, or none
CLEARLY = 0.1  # of the objects: by so much another topology fits better before a change is refused
NEAR = 0.25  # of the objects: a lost exchange or queue, with its bindings; within it, what is in use decides


class Fit(msgspec.Struct, frozen=True):
    """How well a topology fits a broker: `matched` of `total` objects are there as the topology declares them.

    Objects are exchanges, queues that exist once, and their bindings; the queues of a worker's template count as one
    object where there are some. `live` is the number of replica queues that the topology explains, less the queues that
    are in use in Attune's name and unknown to it: it decides between topologies of which one contains the other.
    """

    name: str
    matched: int
    total: int
    live: int = 0

    @property
    def fraction(self) -> float:
        """The part of the topology's objects that is there, 0 to 1."""
        return self.matched / self.total if self.total else 0.0

    @property
    def lacking(self) -> int:
        """The number of the topology's objects that are missing or different."""
        return self.total - self.matched

    @property
    def rank(self) -> tuple[float, int]:
        """How well it fits: the fraction first."""
        return self.fraction, self.live


class Recognition(msgspec.Struct, frozen=True):
    """How well each known topology fits, the best first; of equal ones the newest first."""

    fits: tuple[Fit, ...]

    @property
    def best(self) -> Fit | None:
        """The topology that fits best; None where nothing of Attune is on the broker."""
        return self.fits[0] if self.fits and self.fits[0].matched else None

    @property
    def equal(self) -> tuple[str, ...]:
        """The names of the others that fit as well as the best: as much is lacking, and as much of them is in use."""
        best = self.best
        return tuple(
            f.name
            for f in self.fits[1:]
            if best is not None
            and (f.lacking, f.live) == (best.lacking, best.live)
            and abs(f.fraction - best.fraction) < CLEARLY
        )

    def better_than(self, name: str) -> Fit | None:
        """The best fit where it is clearly better than the topology of that name, else None.

        A topology that is a part of the other one is not better for having fewer objects: it must be there as a whole,
        explain more of what is in use, or have clearly more of its objects there.
        """
        given, best = next((f for f in self.fits if f.name == name), None), self.best
        if best is None or given is None or best.rank <= given.rank or best.fraction < LEAST:
            return None
        more = best.matched > given.matched and best.fraction - given.fraction >= CLEARLY
        return best if more or best.fraction == 1 or best.live > given.live else None

    @property
    def line(self) -> str:
        """The result in one line."""
        if self.best is None:
            return "no Attune topology on this broker"
        said = f"{self.best.name}, recognised: {self.best.matched} of {self.best.total} objects"
        others = ", ".join(self.equal)
        return f"{said} (as well as {others}: choose with --topology)" if others else said


def recognise(broker: BrokerSnapshot, candidates: Iterable[Topology]) -> Recognition:
    """Compares every candidate with the broker; the best first."""
    newest_first = sorted(candidates, key=lambda t: (t.released, t.name), reverse=True)
    return Recognition(best_first(fit(broker, t) for t in newest_first))


def best_first(newest_first: Iterable[Fit]) -> tuple[Fit, ...]:
    """The fits in the order of their likelihood; of equal ones the newest first.

    Of those that fit about as well, the best is the one that explains more of what is in use: a damaged object makes a
    release that does not have it fit better. Of these it is the one that lacks fewer objects: a damaged object that two
    releases have is a smaller part of the one with more objects.
    """
    newest_first = tuple(newest_first)
    fits = sorted(newest_first, key=lambda f: f.rank, reverse=True)
    near = _within(NEAR, [f for f in newest_first if f.fraction >= LEAST])
    used = [f for f in near if f.live == max(n.live for n in near)]
    best = min(_within(CLEARLY, used), key=lambda f: f.lacking, default=None)
    return tuple(sorted(fits, key=lambda f: f is not best))


def _within(difference: float, fits: list[Fit]) -> list[Fit]:
    """Those of which the fraction differs by less from the largest."""
    return [f for f in fits if max(n.fraction for n in fits) - f.fraction < difference]


def fit(broker: BrokerSnapshot, topology: Topology) -> Fit:
    """How well one topology fits the broker."""
    there = [_exchange_there(broker, topology, e.name) for e in topology.exchanges]
    there += [_equal(broker.queue_named.get(q.name), q) for q in topology.base_queues]
    there += [_bound(broker, b) for b in topology.base_bindings]
    there += _templates(broker, topology)
    replicas, named = _replica_keys(topology), server_named(broker)
    explained = sum(keys in replicas for keys in named)
    unexplained = len(named) - explained + len(_unknown_in_use(broker, topology))
    return Fit(topology.name, sum(there), len(there), explained - unexplained)


def _bound(broker: BrokerSnapshot, wanted: Binding) -> bool:
    if wanted.destination_kind == "queue":
        found = broker.bindings_to_queue.get(wanted.destination, ())
    else:
        found = tuple(b for b in broker.bindings_from.get(wanted.source, ()) if b.destination_kind == "exchange")
    shape = wanted.source, wanted.destination, wanted.routing_key, _key(wanted.arguments)
    return any((b.source, b.destination, b.routing_key, _key(b.arguments)) == shape for b in found)


def _exchange_there(broker: BrokerSnapshot, topology: Topology, name: str) -> bool:
    found, wanted = broker.exchange_named.get(name), topology.exchange(name)
    return found is not None and wanted is not None and (found.type, found.durable) == (wanted.type, wanted.durable)


def _equal(found: QueueState | None, wanted: Queue) -> bool:
    if found is None:
        return False
    shape = (wanted.durable, wanted.auto_delete, wanted.exclusive, _key(wanted.arguments))
    return (found.durable, found.auto_delete, found.exclusive, _key(found.arguments)) == shape


def _key(arguments: Arguments) -> str:
    """Arguments to compare; the broker of 4.x adds the type that is the default anyway."""
    return repr(sorted((k, repr(v)) for k, v in arguments.items() if (k, v) != ("x-queue-type", "classic")))


def _templates(broker: BrokerSnapshot, topology: Topology) -> list[bool]:
    """For each worker template that has queues on the broker, whether most are as the topology declares them."""
    equal: dict[str, list[bool]] = {}
    starts = tuple({q.name.partition("{id}")[0] for q in topology.queues if q.per is Per.WORKER})
    for queue in islice((q for q in broker.queues or () if q.name.startswith(starts)), SAMPLE):
        owner = topology.worker_of(queue.name)
        if owner is not None:
            template = owner[1]
            equal.setdefault(template.name, []).append(_equal(queue, template))
    return [sum(found) * 2 >= len(found) for found in equal.values()]


def _replica_keys(topology: Topology) -> set[frozenset[tuple[str, str]]]:
    """The sets of (exchange, key) by which each kind of replica queue is bound."""
    labels = [q.name for q in topology.queues if q.per is Per.REPLICA]
    return {frozenset((b.source, b.routing_key) for b in topology.bindings_to(label)) for label in labels}


def server_named(broker: BrokerSnapshot) -> list[frozenset[tuple[str, str]]]:
    """By what each exclusive server-named queue is bound, where it is bound to an exchange of Attune at all."""
    found = []
    for queue in broker.queues or ():
        if queue.exclusive and queue.name.startswith("amq.gen-"):
            keys = frozenset((b.source, b.routing_key) for b in broker.bindings_to_queue.get(queue.name, ()))
            if any(source.startswith("attune.") for source, _ in keys):
                found.append(keys)
    return found


def _unknown_in_use(broker: BrokerSnapshot, topology: Topology) -> set[str]:
    """The queues that are consumed from in Attune's name and that the topology does not know."""
    known = {q.name for q in topology.base_queues}
    in_use = {name for name in broker.consumers_of if name.startswith("attune.")}
    in_use.update([q.name for q in broker.queues or () if q.consumers and q.name.startswith("attune.")])
    return {name for name in in_use if name not in known and topology.worker_of(name) is None}
