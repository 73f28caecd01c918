"""A policy that is set or removed, or would be, and the effect on each queue and exchange."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal

import msgspec

from attune_ops.model.command_lines import CommandLine
from attune_ops.model.display import Shown
from attune_ops.model.snapshot import PolicyState

# in force: it is the object's effective policy · hides: likewise, and it shadows another · hidden: another has a
# higher priority · unspecified: another has the same priority · not applied: the queue's type does not support one of
# its keys, so that none of them applies · falls back: another becomes effective · none: no policy is left
Precedence = Literal["in force", "hides", "hidden", "unspecified", "not applied", "falls back", "none"]


class Drop(msgspec.Struct, frozen=True):
    """What a length limit drops at once: `messages` of those `ready` now, the oldest; None where sizes decide.

    `goes_to` are the queues that receive the dead letters. `lost` says why messages are lost, or, with `goes_to`, why
    some may be.
    """

    ready: int
    messages: int | None
    goes_to: tuple[str, ...] = ()
    lost: str = ""


class Effect(msgspec.Struct, frozen=True):
    """The effect on one object. `other` is the policy that is shadowed, shadows, or becomes effective.

    `loses` are the settings that the object has now and will not have afterwards; `overruled` says where the object's
    own arguments or an operator policy override the policy. `drop` is what a length limit drops at once.
    """

    kind: Literal["queue", "exchange"]
    name: str
    outcome: Precedence
    other: str = ""
    loses: dict[str, Any] = {}
    overruled: tuple[str, ...] = ()
    drop: Drop | None = None


class PolicyChange(Shown, msgspec.Struct, frozen=True):
    """One change of a policy: `before` is None for a new one, `after` for one that is removed.

    `refusals` are the errors that the broker would return, `warnings` the harm that it would do silently. `undo` is a
    command line; `commands` drain the messages that would be lost to files first.
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
    undo: CommandLine | None = None
    commands: tuple[CommandLine, ...] = ()
