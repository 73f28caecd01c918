"""The desired topology against the broker: the differences, their effect on services, and how each is fixed."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.topology import Binding, Exchange, Queue

ObjectKind = Literal["exchange", "queue", "binding"]


class DiffKind(StrEnum):
    """How something differs. All but what is set by a policy or unmanaged is drift from the desired topology."""

    MISSING = "missing"
    DIFFERENT = "different"
    OVERRIDDEN = "overruled"  # declared as desired, but a policy overrides an argument of the topology
    UNEXPECTED = "unexpected"  # a binding to an object of the topology which the topology does not have
    SET_BY_POLICY = "added"  # a policy sets what the topology leaves open
    UNMANAGED = "foreign"  # not of the topology, in the same virtual host

    @property
    def words(self) -> str:
        """The kind for people; its value is the one of JSON and tables."""
        return {"overruled": "overridden by policy", "added": "set by policy", "foreign": "unmanaged"}.get(self, self)


class Fix(StrEnum):
    """How a difference is fixed."""

    DECLARE = "declare"
    RECREATE = "recreate"  # delete and redeclare it: a broker never changes what exists
    POLICY = "policy"  # change or remove the policy
    UNBIND = "unbind"
    REFUSED = "refused"  # the broker refuses the declaration: fix the reason first
    NOTHING = "nothing"


class BrokerError(msgspec.Struct, frozen=True):
    """An error of the broker: the AMQP reply code, its text, and whether it closes the channel or the connection.

    The management API does not report an integer's width: 32 bits (`signedint`) are assumed where it fits. From a
    definitions file it is `long`.
    """

    code: int
    text: str
    closes: Literal["channel", "connection"] = "channel"


class Attribute(msgspec.Struct, frozen=True):
    """One attribute that differs: `durable`, `type`, or an argument by its name.

    `in_force` is the effective value, the policy included, and `policy` the policy that sets it. `compared` says
    whether the broker compares the attribute on a redeclaration; if not, a service starts without an error and never
    gets what it asked for. `policy_key` is the key by which a policy has the desired effect until the object is
    recreated.
    """

    name: str
    desired: Any
    actual: Any
    compared: bool = True
    in_force: Any = None
    policy: str | None = None
    policy_key: str | None = None


class Difference(msgspec.Struct, frozen=True):
    """One object that differs from the topology.

    `name` is the queue's or exchange's own, for a binding `source → destination (key)`. `item` is the desired object,
    of an unexpected or unmanaged binding the actual one. `declaring` is the broker's error on declaring or binding
    it, None where that succeeds; `using` is the error of a service that uses it without declaring it. `worker_id` is
    the worker that owns it.
    """

    kind: DiffKind
    subject: ObjectKind
    name: str
    fix: Fix
    why: str
    item: Exchange | Queue | Binding | None = None
    attributes: tuple[Attribute, ...] = ()
    declaring: BrokerError | None = None
    using: BrokerError | None = None
    worker_id: int | None = None

    @property
    def is_drift(self) -> bool:
        """Whether the broker drifted from the topology; what is unmanaged or set by a policy is no drift."""
        return self.kind not in (DiffKind.SET_BY_POLICY, DiffKind.UNMANAGED)


class TopologyDiff(Shown, msgspec.Struct, frozen=True, dict=True):
    """The differences between a topology and a broker, in the order in which they are fixed.

    Exchanges, queues and bindings in the topology's order, then each worker's, then what is unexpected, set by a
    policy, and unmanaged. `not_compared` says what could not be compared, and why.
    """

    topology: str
    vhost: str
    taken_at: datetime
    differences: tuple[Difference, ...]
    not_compared: tuple[str, ...] = ()
    workers: tuple[int, ...] = ()  # the live workers; their queues are desired
    compared: int = 0  # desired objects
    assumed: bool = False  # the topology is the default: none was given, and the broker has no known release
    elsewhere: tuple[str, ...] = ()  # other virtual hosts with exchanges of Attune, where this one has nothing of it
    unread: tuple[str, ...] = ()  # why the registry could not be read, where it should have been

    @cached_property
    def drift(self) -> tuple[Difference, ...]:
        """The drift from the desired topology: all but what is unmanaged or set by a policy."""
        return tuple(d for d in self.differences if d.is_drift)

    @cached_property
    def steps(self) -> tuple[Exchange | Queue | Binding, ...]:
        """What can be declared, in order; none of it exists yet."""
        return tuple(d.item for d in self.differences if d.fix is Fix.DECLARE and d.item is not None)

    def of(self, kind: DiffKind) -> tuple[Difference, ...]:
        """The differences of one kind."""
        return tuple(d for d in self.differences if d.kind is kind)

    def about(self, subject: ObjectKind, name: str) -> Iterator[Difference]:
        """What differs about one exchange or queue, or about one binding by its name here."""
        return iter(self._by_subject.get((subject, name), ()))

    @cached_property
    def _by_subject(self) -> dict[tuple[str, str], list[Difference]]:
        found: dict[tuple[str, str], list[Difference]] = {}
        for difference in self.differences:
            found.setdefault((difference.subject, difference.name), []).append(difference)
        return found


class Declaration(msgspec.Struct, frozen=True):
    """The result of one step: `answer` is the broker's error where it refused.

    `lost` was declared without an error, but is missing or different when the broker is read back.
    """

    subject: ObjectKind
    name: str
    status: Literal["to declare", "declared", "refused", "lost"]
    answer: BrokerError | None = None
    worker_id: int | None = None


class ApplyResult(Shown, msgspec.Struct, frozen=True):
    """What `topology apply` did, or would do: `after` is the diff as read back, None where nothing was changed.

    `before` is the diff before; what it holds beyond its steps cannot be declared, and says why.
    """

    before: TopologyDiff
    outcomes: tuple[Declaration, ...]
    after: TopologyDiff | None = None

    @property
    def left(self) -> tuple[Difference, ...]:
        """The drift that declaring does not fix."""
        if self.after is not None:
            return self.after.drift
        return tuple(d for d in self.before.drift if d.fix is not Fix.DECLARE)

    @property
    def failed(self) -> bool:
        """Whether something that was to be declared is not there."""
        return any(o.status in ("refused", "lost") for o in self.outcomes)
