"""What is wanted against what is there: the differences, what each means to a service, and the steps that are left."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from enum import StrEnum
from functools import cached_property
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.topology import Binding, Exchange, Queue

SubjectKind = Literal["exchange", "queue", "binding"]


class DiffKind(StrEnum):
    """How something differs. Only what is foreign or merely added by a policy is no difference from the wish."""

    MISSING = "missing"
    DIFFERENT = "different"
    OVERRIDDEN = "overruled"  # declared as wanted, but a policy has the last word on what the topology says
    UNEXPECTED = "unexpected"  # a binding to an object of the topology which the topology does not make
    SET_BY_POLICY = "added"  # a policy says something that the topology leaves open
    UNMANAGED = "foreign"  # somebody else's, in the same virtual host


class Fix(StrEnum):
    """How a difference is put right."""

    DECLARE = "declare"
    RECREATE = "recreate"  # delete it and declare it anew: a broker never changes what exists
    POLICY = "policy"  # change or remove the policy
    UNBIND = "unbind"
    REFUSED = "refused"  # declaring it is refused: what refuses it comes first
    NOTHING = "nothing"


class BrokerError(msgspec.Struct, frozen=True):
    """What the broker answers: the AMQP reply code, its words, and whether it closes the channel or the connection.

    An integer's width, which the management API does not tell, is taken to be 32 bits where it fits
    (`signedint`); what came by a definitions file is `long`.
    """

    code: int
    text: str
    closes: Literal["channel", "connection"] = "channel"


class Attribute(msgspec.Struct, frozen=True):
    """One attribute that differs: `durable`, `type`, or an argument by its name.

    `in_force` is the value with the policy counted in, and `policy` the policy that it comes from.
    `compared` says whether the broker compares it when the object is declared again; if not, a service starts
    without an error and never gets what it asked for. `policy_key` is the key by which a policy could bring
    the wanted behaviour about until the object is recreated.
    """

    name: str
    desired: Any
    actual: Any
    compared: bool = True
    in_force: Any = None
    policy: str | None = None
    policy_key: str | None = None


class Difference(msgspec.Struct, frozen=True):
    """One object that is not as wanted.

    `name` is the queue's or exchange's own, and for a binding `source → destination (key)`.
    `declaring` is what declaring or binding it is answered with, None where that succeeds; `using` is what a
    service gets that relies on it without declaring it. `worker_id` is the worker's whose object it is.
    """

    kind: DiffKind
    subject: SubjectKind
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
        """Whether the broker is not as wanted; what is foreign or added never is a difference from the wish."""
        return self.kind not in (DiffKind.SET_BY_POLICY, DiffKind.UNMANAGED)


class TopologyDiff(Shown, msgspec.Struct, frozen=True, dict=True):
    """The differences between a topology and a broker, in the order in which they would be put right.

    Exchanges, queues and bindings in the topology's order, then each worker's, then what is unexpected, added
    by a policy, and foreign. `unseen` says what could not be compared, and why.
    """

    topology: str
    vhost: str
    taken_at: datetime
    differences: tuple[Difference, ...]
    unseen: tuple[str, ...] = ()
    workers: tuple[int, ...] = ()  # those whose queues are wanted
    compared: int = 0  # objects of the topology that were looked for

    @cached_property
    def drift(self) -> tuple[Difference, ...]:
        """The differences from the wish: all but what is foreign or added."""
        return tuple(d for d in self.differences if d.is_drift)

    @cached_property
    def steps(self) -> tuple[Exchange | Queue | Binding, ...]:
        """What can be declared, in order; nothing among it exists yet."""
        return tuple(d.item for d in self.differences if d.fix is Fix.DECLARE and d.item is not None)

    def of(self, kind: DiffKind) -> tuple[Difference, ...]:
        """The differences of one kind."""
        return tuple(d for d in self.differences if d.kind is kind)

    def about(self, subject: SubjectKind, name: str) -> Iterator[Difference]:
        """What differs about one exchange or queue, or about one binding by its name here."""
        return iter(self._by_subject.get((subject, name), ()))

    @cached_property
    def _by_subject(self) -> dict[tuple[str, str], list[Difference]]:
        found: dict[tuple[str, str], list[Difference]] = {}
        for difference in self.differences:
            found.setdefault((difference.subject, difference.name), []).append(difference)
        return found


class Declaration(msgspec.Struct, frozen=True):
    """What became of one step: `answer` is the broker's where it refused.

    `lost` was declared, and yet is not there, or otherwise, when the broker is read back.
    """

    subject: SubjectKind
    name: str
    status: Literal["to declare", "declared", "refused", "lost"]
    answer: BrokerError | None = None
    worker_id: int | None = None


class ApplyResult(Shown, msgspec.Struct, frozen=True):
    """What `topology apply` did, or would do: `after` is the plan as read back, None where nothing was done.

    `plan` is the comparison before; what it holds beyond its steps cannot be declared, and says why.
    """

    before: TopologyDiff
    outcomes: tuple[Declaration, ...]
    after: TopologyDiff | None = None

    @property
    def left(self) -> tuple[Difference, ...]:
        """The differences that declaring does not put right."""
        if self.after is not None:
            return self.after.drift
        return tuple(d for d in self.before.drift if d.fix is not Fix.DECLARE)

    @property
    def failed(self) -> bool:
        """Whether something that was to be declared is not there."""
        return any(o.status in ("refused", "lost") for o in self.outcomes)
