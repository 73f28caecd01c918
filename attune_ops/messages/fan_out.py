"""The queues that get a message that is published again: all that are bound with its key, not only its own."""

from __future__ import annotations

import glob

from attune_ops.installation.config import Settings
from attune_ops.messages.selection import Selector
from attune_ops.model.command_lines import quoted
from attune_ops.model.errors import AttuneOpsError
from attune_ops.model.units import listed
from attune_ops.routing import Router
from attune_ops.routing.topology_routes import read_router

SHOWN = 5  # notes; each names an exchange, its keys and the queues

UNREAD = (
    "each message is routed again, to all queues that are bound to its original exchange with its key; to return those "
    "of queue NAME to that queue alone: --filter queue=NAME --exchange= --routing-key=NAME"
)


def fan_out_notes(settings: Settings, selector: Selector, source: str | None, applied: bool) -> tuple[str, ...]:
    """Which other queues the selected messages are routed to: their consumers handle these messages again.

    `source` is the queue that the messages were in, None where they are copies of a tap. Needs tag management; a note
    says what could not be read. Of the messages with one exchange and key, the headers of the first count.
    """
    if selector.target.exchange == "":
        return ()
    if not selector.routed:  # a dry run of `move` reads no message
        return () if applied or not selector.target.dead_only else (UNREAD,)
    try:
        router = read_router(settings)
    except AttuneOpsError as e:
        return (f"it is unknown which other queues get a copy ({e}); see `attune-ops route`",)
    return other_queues(router, selector, source, applied)


def other_queues(router: Router, selector: Selector, source: str | None, applied: bool) -> tuple[str, ...]:
    """The notes, with the routes of that router."""
    target = selector.target
    named = target.exchange is not None or target.routing_key is not None
    groups: dict[tuple[str, str, str], list[str]] = {}
    for (exchange, key, died), headers in selector.routed.items():
        route = router.route(exchange, key, headers)
        queues = {*route.queues, *route.possible}
        own = None if named else died or source
        others = sorted(queues - {own})
        if others and (own is not None or len(others) > 1 or not named):
            end = _destination(own, own in queues, others, named) + ("" if applied else _alone(selector, own, died))
            certain = set(others) <= set(route.queues)
            verb = ("is", "was") if certain else ("may be", "may have been")
            groups.setdefault((exchange, verb[applied], end), []).append(repr(key))
    notes = [
        f"each message to {f'exchange {exchange!r}' if exchange else 'the default exchange'} with key "
        f"{listed(keys)} {verb} {end}"
        for (exchange, verb, end), keys in groups.items()
    ]
    more = [f"{len(notes) - SHOWN} more exchanges and keys reach other queues; see `attune-ops route`"]
    return (*notes[:SHOWN], *(more if len(notes) > SHOWN else ()))


def _destination(own: str | None, reached: bool, others: list[str], named: bool) -> str:
    if own is not None:
        return f"also routed to {listed(others)}" if reached else f"routed to {listed(others)}, not to queue {own!r}"
    return f"routed to {listed(others)}" + ("" if named else ", which got it when it was tapped")


def _alone(selector: Selector, own: str | None, died: str) -> str:
    """The options that publish to that queue alone; nothing where they would also take messages of other queues."""
    if own is None or (not died and any(other for _, _, other in selector.routed)):
        return ""
    filters = f"--filter {quoted(f'queue={glob.escape(died)}')} " if died else ""
    return f"; for queue {own!r} alone: {filters}--exchange= {quoted(f'--routing-key={own}')}"
