"""Compares the desired topology with a broker. Pure; `facts.memo(diff)` computes it once for several questions."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cached_property
from operator import attrgetter

import msgspec

from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import exchange_kind, queue_kind
from attune_ops.model.snapshot import BindingState, ExchangeState, QueueState
from attune_ops.model.topology import Binding, Exchange, Queue, binding_name
from attune_ops.routing.effective_policy import (
    EffectiveSetting,
    EffectiveSettings,
    PolicySet,
    exchange_settings,
    queue_settings,
)
from attune_ops.routing.rules import Rules
from attune_ops.topology.binding_keys import (
    BindingKey,
    binding_key,
    desired_keys,
    keys_of_live_workers,
    keys_on_broker,
    missing_keys,
    worker_keys,
)
from attune_ops.topology.drift import (
    Attribute,
    BrokerError,
    Difference,
    DiffKind,
    Fix,
    ObjectKind,
    TopologyDiff,
)
from attune_ops.topology.redeclaration import Answers, same, unknown_denial


def diff(facts: Facts) -> TopologyDiff:
    """Compares the topology with the broker, for each registered live worker too; needs `Source.BROKER`.

    A worker queue of another id is compared where it exists, but neither it nor its binding is ever missing: bound,
    it would collect messages that no worker consumes.
    """
    return Comparison(facts).diff()


class Comparison:
    """One topology against one broker; every method yields differences."""

    def __init__(self, facts: Facts) -> None:
        self.facts = facts
        self.topology = facts.topology
        self.broker = facts.actual
        self.answers = Answers.of(facts)
        self.policies = PolicySet(self.broker.policies or (), Rules.of(self.broker.version))
        self.live = frozenset(w.id for w in facts.live_workers)
        self.refused: set[tuple[str, str]] = set()  # what cannot be declared, so that its bindings cannot either

    def diff(self) -> TopologyDiff:
        """All differences in order, and what could not be compared."""
        base = (
            *self._exchanges(),
            *self._queues(self.topology.base_queues, None),
            *self._bindings(self.topology.base_bindings, None),
        )
        workers = (d for worker_id in self._suspects for d in self._worker(worker_id))
        found = [*base, *workers, *self._other_bindings(), *self._unmanaged()]
        return TopologyDiff(
            topology=self.topology.name,
            vhost=self.facts.vhost,
            taken_at=self.facts.taken_at,
            differences=tuple(sorted(found, key=lambda d: _ORDER.get(d.kind, 0))),
            not_compared=tuple(self._not_compared(found)),
            workers=tuple(sorted(self.live)),
            compared=self._compared,
            assumed=self.facts.assumed,
            elsewhere=self.facts.elsewhere,
            unread=(self.facts.missing[Source.REGISTRY],) if self.facts.could_not_read(Source.REGISTRY) else (),
        )

    @property
    def _compared(self) -> int:
        t, others = self.topology, self.facts.worker_queues.items()
        base = len(t.exchanges) + len(t.base_queues) + len(t.base_bindings)
        each = len(t.worker_queue_templates) + len(t.worker_binding_templates)
        return base + each * len(self.live) + sum(len(queues) for i, queues in others if i not in self.live)

    def _not_compared(self, found: list[Difference]) -> Iterator[str]:
        for source, what in ((Source.BROKER, "exchanges, queues and bindings"), (Source.REGISTRY, "queues of workers")):
            reason = self.facts.missing_reason((source,))
            if reason is not None:
                yield f"{what}: {reason}"
        if self.broker.policies is None:
            yield "policies: not read"
        declares = (d.item for d in found if d.fix is Fix.DECLARE)
        reason = unknown_denial(self.facts)
        if reason and any(isinstance(q, Queue) and not q.durable and not q.exclusive for q in declares):
            yield f"whether this broker denies transient queues: {reason}"

    @cached_property
    def _worker_keys(self) -> dict[int, list[BindingKey]]:
        """The keys of the bindings of each live worker, and of every other id that has a queue here."""
        known = self.facts.memo(keys_of_live_workers)
        others = self.facts.worker_queues.keys() - self.live
        return dict(sorted((known | worker_keys(self.topology, others)).items())) if others else known

    @property
    def _suspects(self) -> list[int]:
        """The workers of which there may be something to say: most are as they should be, which is quick to see."""
        as_declared, missing = self._as_declared, self.facts.memo(missing_keys)
        return [i for i in self._worker_keys if i not in as_declared or (missing and not self._is_bound(i))]

    def _worker(self, worker_id: int) -> Iterator[Difference]:
        if worker_id not in self._as_declared:
            yield from self._queues(self.topology.worker_queues(worker_id), worker_id)
        if not self._is_bound(worker_id):
            yield from self._bindings(self.topology.worker_bindings(worker_id), worker_id)

    def _is_bound(self, worker_id: int) -> bool:
        """Whether no binding of the worker is missing; of one that is not live, none ever is."""
        return worker_id not in self.live or self.facts.memo(missing_keys).isdisjoint(self._worker_keys[worker_id])

    @cached_property
    def _as_declared(self) -> frozenset[int]:
        """The workers that have all of their queues, as declared, and no policies that could change them.

        Most queues of a template are alike, and what was compared once is known.
        """
        if self.broker.policies:
            return frozenset()
        wanted = self.topology.worker_queue_templates
        compared: dict[tuple[object, ...], bool] = {}

        def is_as_declared(declared: Queue, there: QueueState) -> bool:
            shape = declared.name, *_SHAPE(there), msgspec.json.encode(there.arguments) if there.arguments else b""
            known = compared.get(shape)
            if known is None:
                known = compared[shape] = not any(self.answers.queue_attributes(declared, there))
            return known

        return frozenset(
            worker_id
            for worker_id, there in self.facts.worker_queues.items()
            if len(there) == len(wanted) and all(map(is_as_declared, wanted, there))
        )

    def _exchanges(self) -> Iterator[Difference]:
        for desired in self.topology.exchanges if self.broker.exchanges is not None else ():
            actual = self.broker.exchange_named.get(desired.name)
            if actual is not None:
                attributes = tuple(self.answers.exchange_attributes(desired, actual))
                if attributes or self.broker.policies:
                    yield from self._existing("exchange", desired, actual, attributes, None)
                continue
            declaring = self.answers.new_exchange(desired)
            using = self.answers.not_found("exchange", desired.name)
            yield self._missing("exchange", desired.name, desired, NOBODY_PUBLISHES, declaring, using)

    def _queues(self, queues: tuple[Queue, ...], worker_id: int | None) -> Iterator[Difference]:
        for desired in queues if self.broker.queues is not None else ():
            actual = self.broker.queue_named.get(desired.name)
            if actual is not None:
                attributes = tuple(self.answers.queue_attributes(desired, actual))
                if attributes or self.broker.policies:
                    yield from self._existing("queue", desired, actual, attributes, worker_id)
            elif self.facts.is_missing(desired.name) and (worker_id is None or worker_id in self.live):
                declaring = self.answers.new_queue(desired)
                using = self.answers.not_found("queue", desired.name)
                yield self._missing("queue", desired.name, desired, NOBODY_CONSUMES, declaring, using, worker_id)

    def _bindings(self, bindings: tuple[Binding, ...], worker_id: int | None) -> Iterator[Difference]:
        for desired in bindings if self.broker.bindings is not None else ():
            if binding_key(desired) in self.facts.memo(missing_keys):
                name, refused = _name(desired), self._unbindable(desired)
                yield self._missing("binding", name, desired, NOTHING_ARRIVES, refused, None, worker_id)

    def _unbindable(self, desired: Binding) -> BrokerError | None:
        kind, destination = desired.destination_kind, desired.destination
        if ("exchange", desired.source) in self.refused:
            return self.answers.not_found("exchange", desired.source)
        if (kind, destination) in self.refused:
            return self.answers.not_found(kind, destination)
        return self.answers.bound(desired.source, kind, destination)

    def _missing(
        self, subject: ObjectKind, name: str, desired: Exchange | Queue | Binding, why: str,
        declaring: BrokerError | None, using: BrokerError | None, worker_id: int | None = None,
    ) -> Difference:  # fmt: skip
        if declaring is not None:
            self.refused.add((subject, name))
        fix = Fix.DECLARE if declaring is None else Fix.REFUSED
        return Difference(DiffKind.MISSING, subject, name, fix, why, desired, (), declaring, using, worker_id)

    def _existing(
        self, subject: ObjectKind, desired: Exchange | Queue, actual: ExchangeState | QueueState,
        attributes: tuple[Attribute, ...], worker_id: int | None,
    ) -> Iterator[Difference]:  # fmt: skip
        settings = self._settings(actual)
        if attributes:
            declaring = self.answers.redeclared(subject, desired.name, attributes)
            why = SILENTLY_DIFFERENT if declaring is None else DECLARING_FAILS
            effective = tuple(_effective(a, settings.get(_policy_key(a.name))) for a in attributes)
            kind, fix = DiffKind.DIFFERENT, Fix.RECREATE
            yield Difference(kind, subject, desired.name, fix, why, desired, effective, declaring, worker_id=worker_id)
        overridden, added = _by_policy(desired, actual, settings)
        for kind, why, those in (
            (DiffKind.OVERRIDDEN, OVERRIDDEN, overridden),
            (DiffKind.SET_BY_POLICY, SET_BY_POLICY, added),
        ):
            if those:
                yield Difference(kind, subject, desired.name, Fix.POLICY, why, desired, those, worker_id=worker_id)

    def _settings(self, actual: ExchangeState | QueueState) -> EffectiveSettings:
        if not self.broker.policies:
            return {}
        if isinstance(actual, ExchangeState):
            return exchange_settings(
                actual.arguments, self.policies.of("exchange", actual.name, reported=actual.policy)
            )
        policy = self.policies.of("queue", actual.name, actual.type, reported=actual.policy)
        operator = self.policies.effective_operator(actual.name, actual.type, reported=actual.operator_policy)
        return queue_settings(actual.arguments, actual.type, policy, operator)

    def _other_bindings(self) -> Iterator[Difference]:
        """The bindings that the topology does not have: unexpected where they lead to an object of the topology."""
        keys, desired = self.facts.memo(keys_on_broker), self.facts.memo(desired_keys)
        if len(keys) == len(desired) and not self.facts.memo(missing_keys):
            return  # they are the same
        others = self._worker_keys.keys() - self.live
        desired = desired.union(*(self._worker_keys[i] for i in others))
        for key, binding in zip(keys, self.broker.bindings or (), strict=True):
            if key in desired or self._is_replicas(binding):
                continue
            if self._is_owned(binding.destination_kind, binding.destination):
                owner = self.facts.topology.worker_of(binding.destination)
                worker_id = owner[0] if owner and binding.destination_kind == "queue" else None
                kind, fix, why = DiffKind.UNEXPECTED, Fix.UNBIND, UNEXPECTED
                if key[:3] in self._dead_letter_ends:
                    fix, why = Fix.NOTHING, ROUTES_DEAD_LETTERS
            else:
                kind, fix, why, worker_id = DiffKind.UNMANAGED, Fix.NOTHING, UNMANAGED, None
            yield Difference(kind, "binding", _name(binding), fix, why, _binding(binding), worker_id=worker_id)

    @cached_property
    def _dead_letter_ends(self) -> frozenset[tuple[str, str, str]]:
        """Dead-letter exchange and queue of each binding by which the topology keeps dead letters.

        The release's own key may match none: then another binding between the two is what keeps them.
        """
        used = {q.arguments.get("x-dead-letter-exchange") for q in self.topology.queues}
        return frozenset(
            (b.source, b.destination_kind, b.destination)
            for b in self.topology.base_bindings
            if b.source in used and b.destination_kind == "queue"
        )

    def _is_owned(self, kind: str, name: str) -> bool:
        if kind == "exchange":
            return self.topology.exchange(name) is not None
        return name in self._owned

    @cached_property
    def _owned(self) -> frozenset[str]:
        """The names of the base queues, and of all worker queues that are there."""
        return frozenset(q.name for q in self.topology.base_queues) | self.facts.worker_templates.keys()

    def _is_replicas(self, binding: BindingState) -> bool:
        return binding.destination_kind == "queue" and binding.destination in self._replicas

    @cached_property
    def _replicas(self) -> frozenset[str]:
        exclusive = (q for q in self.broker.queues or () if q.exclusive)
        return frozenset(q.name for q in exclusive if queue_kind(self.facts, q) == "replica")

    def _unmanaged(self) -> Iterator[Difference]:
        for exchange in self.broker.exchanges or ():
            if exchange_kind(self.topology, exchange.name) == "foreign":
                yield Difference(DiffKind.UNMANAGED, "exchange", exchange.name, Fix.NOTHING, UNMANAGED)
        managed = self._owned | self._replicas
        for queue in self.broker.queues or ():
            if queue.name not in managed:
                yield Difference(DiffKind.UNMANAGED, "queue", queue.name, Fix.NOTHING, UNMANAGED)


_SHAPE = attrgetter("type", "durable", "auto_delete", "exclusive")  # what a queue was declared with, besides arguments

_ORDER = {DiffKind.UNEXPECTED: 1, DiffKind.SET_BY_POLICY: 2, DiffKind.UNMANAGED: 3}

NOBODY_PUBLISHES = "publishing to it closes the publisher's channel"
NOBODY_CONSUMES = "no service can consume from it, and messages for it are dropped"
NOTHING_ARRIVES = "messages with this key do not reach it, and the publisher gets no error"
DECLARING_FAILS = "a service that declares it fails at start-up; a broker never changes what exists"
SILENTLY_DIFFERENT = "services start without an error, but do not get what they declare"
OVERRIDDEN = "declared as desired, but the policy takes precedence"
SET_BY_POLICY = "a policy sets what the topology leaves open"
UNEXPECTED = "not in the topology; the destination receives messages that are not meant for it"
ROUTES_DEAD_LETTERS = "not in the topology; it routes dead letters to their queue, and without it these may be lost"
UNMANAGED = "not in the topology"


def _policy_key(argument: str) -> str:
    return argument.removeprefix("x-")


def _effective(attribute: Attribute, setting: EffectiveSetting | None) -> Attribute:
    """The attribute with its effective value."""
    if setting is None or setting.origin == "argument":
        return msgspec.structs.replace(attribute, in_force=attribute.actual)
    return msgspec.structs.replace(attribute, in_force=setting.value, policy=setting.policy)


def _by_policy(
    desired: Exchange | Queue, actual: ExchangeState | QueueState, settings: EffectiveSettings
) -> tuple[tuple[Attribute, ...], tuple[Attribute, ...]]:
    """The arguments of the topology that a policy overrides, and the settings that it adds."""
    ours = {_policy_key(name): (name, value) for name, value in desired.arguments.items()}
    overridden, added = [], []
    for key, setting in settings.items():
        if setting.origin == "argument":
            continue
        name, value = ours.get(key, (key, None))
        attribute = Attribute(name, value, actual.arguments.get(name), False, setting.value, setting.policy)
        if key not in ours:
            added.append(attribute)
        elif same(value, attribute.actual) and not same(value, setting.value):
            overridden.append(attribute)
    return tuple(overridden), tuple(added)


def _name(binding: Binding | BindingState) -> str:
    return binding_name(binding.source, binding.destination, binding.routing_key)


def _binding(b: BindingState) -> Binding:
    return Binding(b.source, b.destination, b.routing_key, b.destination_kind, b.arguments)
