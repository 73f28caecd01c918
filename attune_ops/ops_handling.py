"""What an installation's `Ops` can change for operators: messages, policies, leftovers, single bindings."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Unpack

from attune_ops.model.errors import ConfigError

if TYPE_CHECKING:
    from attune_ops.cleanup.reaped import Reaped
    from attune_ops.installation.config import Settings
    from attune_ops.inventory import Narrowing
    from attune_ops.messages.peeked import Peeked
    from attune_ops.messages.replay import Target
    from attune_ops.messages.selection import Choice
    from attune_ops.messages.transfer import Transfer
    from attune_ops.model.table import Table
    from attune_ops.topology.policies.policy_change import PolicyChange

MOST_REPLAYS = 3

OnProgress = Callable[[int], None]


class Handling:
    """The part of `Ops` that changes things for operators."""

    settings: Settings

    @property
    def messages(self) -> Messages:
        """What can be done with messages: `peek`, `drain`, `restore`, `move`."""
        return Messages(self.settings)

    @property
    def policies(self) -> Policies:
        """Safety by policies: `show`, `apply`, `remove`."""
        return Policies(self.settings)

    def reap(
        self,
        pattern: str = "*",
        *,
        grace: timedelta = timedelta(minutes=10),
        save_to: str | Path | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Reaped:
        """Deletes worker queues that broker and registry call orphaned in two looks `grace` apart (`actions.reap`).

        What is in them is saved first; without `apply` it only looks, and remembers for the next look.
        """
        from attune_ops.cleanup.reap import reap

        return reap(self.settings, pattern, grace=grace, save_to=save_to, apply=apply, confirm=confirm)

    def retire(self, pattern: str = "*", *, apply: bool = False, confirm: str | None = None) -> Table:
        """Sets workers that died to inactive in the registry; without `apply` says which (`actions.retire`)."""
        from attune_ops.cleanup.retire import retire

        return retire(self.settings, pattern, apply=apply, confirm=confirm)

    def bind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Table:
        """Binds a queue (or, with `exchange`, an exchange); without `apply` only says so (`actions.bindings`)."""
        from attune_ops.model.topology import Binding
        from attune_ops.topology.bind import bind

        wanted = Binding(source, destination, routing_key, "exchange" if exchange else "queue", dict(arguments or {}))
        return bind(self.settings, wanted, apply=apply, confirm=confirm)

    def unbind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Table:
        """Removes a binding, of whatever `arguments` where they are None; without `apply` only says so."""
        from attune_ops.model.topology import Binding
        from attune_ops.topology.bind import unbind

        unwanted = Binding(source, destination, routing_key, "exchange" if exchange else "queue")
        given = None if arguments is None else dict(arguments)
        return unbind(self.settings, unwanted, given, apply=apply, confirm=confirm)


class Messages:
    """Looks at, moves, saves and restores messages without losing any.

    `filters` are texts like "type=ExecutionRequested", "age>1h", "$.payload.execution_id=7"; all must hold. What
    changes something does it with `apply=True` and returns what it would do without; `confirm` is the environment's
    name where it is protected.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def peek(
        self,
        queue: str,
        count: int = 10,
        *,
        filters: Iterable[str] = (),
        reveal: bool = False,
        confirm: str | None = None,
    ) -> Peeked:
        """Looks at the first messages of a queue, secrets masked (`actions.messages.peek`)."""
        from attune_ops.messages.filters import parse
        from attune_ops.messages.peek import peek

        return peek(self._settings, queue, count, filters=parse(filters), reveal=reveal, confirm=confirm)

    def drain(
        self,
        queue: str,
        to: str | Path,
        *,
        filters: Iterable[str] = (),
        limit: int | None = None,
        apply: bool = False,
        confirm: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Takes messages from a queue and keeps them in a file (`actions.messages.drain`)."""
        from attune_ops.messages.drain import drain
        from attune_ops.messages.filters import parse

        return drain(
            self._settings,
            queue,
            Path(to),
            filters=parse(filters),
            limit=limit,
            apply=apply,
            confirm=confirm,
            on_progress=on_progress,
        )

    def restore(
        self,
        file: str | Path,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        filters: Iterable[str] = (),
        rate: float | None = None,
        most_replays: int | None = MOST_REPLAYS,
        finished: bool = False,
        again: bool = False,
        copies: bool = False,
        apply: bool = False,
        confirm: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Publishes the messages of a file where each came from, or to an exchange (`actions.messages.restore`)."""
        from attune_ops.messages.replay import Target
        from attune_ops.messages.restore import Ways, restore

        target = Target(exchange, routing_key, counted=exchange is None and routing_key is None)
        choice = _choice(filters, target, most_replays, finished)
        ways = Ways(again, copies, rate)
        return restore(self._settings, Path(file), choice, ways, apply=apply, confirm=confirm, on_progress=on_progress)

    def move(
        self,
        queue: str,
        to: str | None = None,
        *,
        exchange: str | None = None,
        routing_key: str | None = None,
        filters: Iterable[str] = (),
        limit: int | None = None,
        rate: float | None = None,
        most_replays: int | None = MOST_REPLAYS,
        finished: bool = False,
        apply: bool = False,
        confirm: str | None = None,
        on_progress: OnProgress | None = None,
    ) -> Transfer:
        """Moves messages to queue `to`, to an exchange, or dead letters back where they died from.

        See `actions.messages.move`. Raises `ConfigError` where both `to` and an exchange or key are given.
        """
        from attune_ops.messages.move import move
        from attune_ops.messages.replay import Target

        if to is not None and (exchange is not None or routing_key is not None):
            raise ConfigError("give a queue to move to, or an exchange and key, not both")
        if to is not None:
            target = Target("", to)
        else:
            target = Target(exchange, routing_key, dead_only=exchange is None and routing_key is None)
        choice = _choice(filters, target, most_replays, finished)
        return move(
            self._settings,
            queue,
            choice,
            limit=limit,
            rate=rate,
            apply=apply,
            confirm=confirm,
            on_progress=on_progress,
        )

    def __repr__(self) -> str:
        return f"<attune_ops messages of {self._settings.amqp}: peek, drain, restore, move>"


class Policies:
    """Clean-up safety as policies. What changes something does it with `apply=True`, and says only so without."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def show(self, **narrow: Unpack[Narrowing]) -> Table:
        """The policies, what each is in force for, and the safety policies that are not set (`tables.policies`)."""
        from attune_ops.inventory import narrowed
        from attune_ops.topology.policies.apply_policy import read
        from attune_ops.topology.policies.policy_table import policies

        return narrowed(policies(narrow.get("facts") or read(self._settings)), narrow)

    def apply(
        self,
        name: str,
        definition: Mapping[str, Any] | None = None,
        *,
        pattern: str | None = None,
        apply_to: str | None = None,
        priority: int | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> PolicyChange:
        """Sets a safety policy, or one of your own with its pattern (`actions.policy.apply_policy`)."""
        from attune_ops.topology.policies.apply_policy import apply_policy
        from attune_ops.topology.policies.presets import PRIORITY

        return apply_policy(
            self._settings,
            name,
            dict(definition or {}),
            pattern=pattern,
            apply_to=apply_to,
            priority=PRIORITY if priority is None else priority,
            apply=apply,
            confirm=confirm,
        )

    def remove(self, name: str, *, apply: bool = False, confirm: str | None = None) -> PolicyChange:
        """Removes a policy (`actions.policy.remove_policy`)."""
        from attune_ops.topology.policies.apply_policy import remove_policy

        return remove_policy(self._settings, name, apply=apply, confirm=confirm)

    def __repr__(self) -> str:
        return f"<attune_ops policies of {self._settings.amqp}: show, apply, remove>"


def _choice(filters: Iterable[str], target: Target, most_replays: int | None, finished: bool) -> Choice:
    from attune_ops.messages.filters import parse
    from attune_ops.messages.selection import Choice

    return Choice(parse(filters), target, most_replays, ask_registry=not finished)
