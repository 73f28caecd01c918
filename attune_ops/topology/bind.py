"""Adding and removing one binding."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.collect import check_release, collect
from attune_ops.installation.config import Settings
from attune_ops.inventory.bindings import bindings
from attune_ops.model import command_lines
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import is_desired, require
from attune_ops.model.snapshot import BindingState
from attune_ops.model.table import Table
from attune_ops.model.topology import Arguments, DestinationKind, binding_name

LISTINGS = ("exchanges", "queues", "bindings")


def bind(
    settings: Settings,
    source: str,
    destination: str,
    routing_key: str = "",
    *,
    exchange: bool = False,
    arguments: Mapping[str, Any] | None = None,
    apply: bool = False,
    confirm: str | None = None,
) -> Table:
    """Adds a binding unless it exists; a dry run without `apply`.

    Needs tag management, write on the destination and read on the source. Undo: the command in the table's notes.
    Raises `ConfigError` where source or destination is missing or a protected environment is not confirmed, and
    `SourceError` where the broker refuses.
    """
    facts = _read(settings)
    made = BindingState(settings.vhost, source, destination, routing_key, _kind(exchange), dict(arguments or {}))
    _check_ends(facts, made)
    if _matching(facts, made, made.arguments):
        if apply:
            audit.check_confirmation(settings, confirm)
        return _table(facts, (made,), "it exists already")
    if apply:
        with audit.change(settings, "topology bind", _name(made), confirm=confirm, arguments=made.arguments) as change:
            change.management().bind(made)
    return _table(facts, (made,), f"undo: {command_lines.binding('unbind', made)}")


def unbind(
    settings: Settings,
    source: str,
    destination: str,
    routing_key: str = "",
    *,
    exchange: bool = False,
    arguments: Mapping[str, Any] | None = None,
    apply: bool = False,
    confirm: str | None = None,
    force: bool = False,
) -> Table:
    """Removes a binding; where `arguments` are None, every one of that source, destination and key.

    A dry run without `apply`. Needs tag management, write on the destination and read on the source. Undo: the
    commands in the table's notes. Raises `ConfigError` where there is none or a protected environment is not
    confirmed or the broker runs another release and `force` is not set, and `SourceError` where the broker refuses.
    """
    if apply:
        check_release(settings, force)
    facts = _read(settings)
    like = BindingState(settings.vhost, source, destination, routing_key, _kind(exchange))
    found = _matching(facts, like, None if arguments is None else dict(arguments))
    if not found:
        raise ConfigError(_none_such(facts, like))
    for b in found if apply else ():
        with audit.change(settings, "topology unbind", _name(b), confirm=confirm, arguments=b.arguments) as change:
            change.management().unbind(b)
    notes = [f"undo: {command_lines.binding('bind', b)}" for b in found]
    if any(is_desired(facts, b) for b in found):
        notes.append(f"{facts.topology.name} has this binding: without it, messages with this key are lost")
    return _table(facts, found, *notes)


def _read(settings: Settings) -> Facts:
    return require(collect(settings, (Source.BROKER, Source.MANAGEMENT), listings=LISTINGS), Source.BROKER)


def _kind(exchange: bool) -> DestinationKind:
    return "exchange" if exchange else "queue"


def _check_ends(facts: Facts, desired: BindingState) -> None:
    where = f"in virtual host {facts.vhost!r}"
    if not desired.source:
        raise ConfigError("the default exchange takes no bindings: it routes by queue name")
    if desired.source not in facts.actual.exchange_named:
        raise ConfigError(f"no exchange {desired.source!r} {where}")
    named = facts.actual.queue_named if desired.destination_kind == "queue" else facts.actual.exchange_named
    if not desired.destination or desired.destination not in named:
        raise ConfigError(f"no {desired.destination_kind} {desired.destination!r} {where}")


def _matching(facts: Facts, like: BindingState, arguments: Arguments | None) -> tuple[BindingState, ...]:
    return tuple(
        b for b in _between(facts, like) if b.routing_key == like.routing_key and arguments in (None, b.arguments)
    )


def _between(facts: Facts, like: BindingState) -> list[BindingState]:
    to = (like.destination, like.destination_kind)
    return [b for b in facts.actual.bindings_from.get(like.source, ()) if (b.destination, b.destination_kind) == to]


def _none_such(facts: Facts, like: BindingState) -> str:
    keys = ", ".join([repr(b.routing_key) for b in _between(facts, like)][:10]) or "none"
    what = f"{like.destination_kind} {like.destination!r} is not bound to {like.source!r} with key {like.routing_key!r}"
    return f"{what} in virtual host {facts.vhost!r}; existing keys: {keys}"


def _table(facts: Facts, found: tuple[BindingState, ...], *notes: str) -> Table:
    """The bindings that are added or removed, as `attune-ops bindings` shows them."""
    broker = msgspec.structs.replace(facts.actual, bindings=found)
    return msgspec.structs.replace(bindings(msgspec.structs.replace(facts, broker=broker)), notes=notes)


def _name(b: BindingState) -> str:
    return binding_name(b.source, b.destination, b.routing_key)
