"""Adding and removing one binding."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from attune_ops.installation import audit
from attune_ops.installation.collect import check_release, collect
from attune_ops.installation.config import Settings
from attune_ops.inventory.bindings import bindings
from attune_ops.model import command_lines
from attune_ops.model.errors import ConfigError, reports_done
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import is_desired, require
from attune_ops.model.snapshot import BindingState
from attune_ops.model.table import Table
from attune_ops.model.topology import DestinationKind, binding_name
from attune_ops.topology.binding_keys import binding_key

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
    if _matching(facts, made, exactly=True):
        if apply:
            audit.check_confirmation(settings, confirm)
        return _table(facts, (made,), "it exists already")
    if apply:
        with audit.change(settings, "topology bind", _name(made), confirm=confirm, arguments=made.arguments) as change:
            change.management().bind(made)
    notes = [f"undo: {command_lines.binding('unbind', made)}"]
    if _is_auto_delete(facts, source) and not facts.actual.bindings_from.get(source):
        notes.append(f"exchange {source!r} is auto-delete and has no other binding: the undo deletes it, too")
    return _table(facts, (made,), *notes)


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
    like = BindingState(settings.vhost, source, destination, routing_key, _kind(exchange), dict(arguments or {}))
    found = _matching(facts, like, exactly=arguments is not None)
    if not found:
        raise ConfigError(_none_such(facts, like))
    removed: list[str] = []
    with reports_done(lambda: f"removed before; {'; '.join(removed)}" if removed else ""):
        for b in found if apply else ():
            with audit.change(settings, "topology unbind", _name(b), confirm=confirm, arguments=b.arguments) as change:
                change.management().unbind(b)
            removed.append(_undo(b))
    return _table(facts, found, *_after_unbind(facts, found))


def _undo(b: BindingState) -> str:
    return f"undo: {command_lines.binding('bind', b)}"


def _after_unbind(facts: Facts, found: tuple[BindingState, ...]) -> Iterator[str]:
    """The undo of each binding, where that does not bring everything back, and what no longer arrives."""
    b = found[0]
    yield from map(_undo, found)
    if any("undefined" in one.arguments.values() for one in found):
        yield "the management API shows an argument without a value as 'undefined': the undo sets that text"
    if _is_auto_delete(facts, b.source) and len(facts.actual.bindings_from[b.source]) == len(found):
        yield (
            f"exchange {b.source!r} is auto-delete: the broker deletes it with its last binding. Its publishers then "
            "fail, and the undo needs it to be declared again"
        )
    if any(is_desired(facts, one) for one in found):
        yield (
            f"{facts.topology.name} has this binding: without it, messages with this key do not reach "
            f"{b.destination!r}, and are lost where no other binding matches"
        )


def _is_auto_delete(facts: Facts, exchange: str) -> bool:
    return bool(facts.actual.exchange_named[exchange].auto_delete)


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


def _matching(facts: Facts, like: BindingState, *, exactly: bool) -> tuple[BindingState, ...]:
    """The bindings of that source, destination and key; `exactly` those with the same arguments, by type, too."""
    with_key = (b for b in _between(facts, like) if b.routing_key == like.routing_key)
    return tuple(b for b in with_key if not exactly or binding_key(b) == binding_key(like))


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
