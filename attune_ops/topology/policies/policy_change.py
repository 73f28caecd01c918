"""A policy that is set or removed, or would be, and what that does to each queue and exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from attune_ops.model.display import Shown
from attune_ops.model.snapshot import PolicyState

# in force: it is the object's policy · hides: it takes the place of another, which then does nothing for the object
# hidden: another has a higher priority · unspecified: another has the same priority · not applied: the queue's type
# lacks one of its keys, so that none of them applies · falls back: another takes its place · none: no policy is left
Outcome = Literal["in force", "hides", "hidden", "unspecified", "not applied", "falls back", "none"]


class Drop(msgspec.Struct, frozen=True):
    """What a queue gives up at once: `messages` of those `ready` now, the oldest; None where their sizes decide.

    `goes_to` are the queues that get the dead letters. `lost` says why they are lost, or, with `goes_to`, why some
    may be.
    """

    ready: int
    messages: int | None
    goes_to: tuple[str, ...] = ()
    lost: str = ""


class Effect(msgspec.Struct, frozen=True):
    """What becomes of one object. `other` is the policy that is hidden or hides, or takes over.

    `loses` are the settings that the object has now and will not have any more; `overruled` says where the object's
    own arguments or an operator policy decide all the same. `drop` is what a queue gives up in that moment.
    """

    kind: Literal["queue", "exchange"]
    name: str
    outcome: Outcome
    other: str = ""
    loses: dict[str, Any] = {}
    overruled: tuple[str, ...] = ()
    drop: Drop | None = None


class PolicyChange(Shown, msgspec.Struct, frozen=True):
    """One change of a policy: `before` is None for a new one, `after` for one that goes.

    `refusals` are what the broker would answer, `warnings` what it would do without a word. `undo` is a command line,
    `commands` are such that save beforehand what would be lost.
    """

    name: str
    vhost: str
    before: PolicyState | None
    after: PolicyState | None
    effects: tuple[Effect, ...]
    applied: bool
    taken_at: datetime
    warnings: tuple[str, ...] = ()
    refusals: tuple[str, ...] = ()
    undo: str = ""
    commands: tuple[str, ...] = ()
