"""How a tap is shown: the messages that it kept, and a summary."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final, Literal, TypedDict

from attune_ops.messages import view_peek_result, view_preview
from attune_ops.messages.tap import TapResult
from attune_ops.model.table import Table
from attune_ops.model.units import counted
from attune_ops.render import wire
from attune_ops.render.text import Line

SCHEMA: Final = "attune-ops/messages-tap/1"


def lines(result: TapResult, limit: int | None) -> Iterator[Line]:
    """A block per message, and the summary."""
    for m in result.messages:
        yield from view_preview.lines(m, None)
    yield 0, summary(result), "bold"
    for note in result.notes:
        yield 0, f"note: {note}", "dim"


def summary(result: TapResult) -> str:
    """How many messages were seen, and where they are."""
    said = f"{counted(result.seen, 'message')} passed exchange {result.exchange}"
    said += f", {result.matched} of them matched" if result.matched != result.seen else ""
    said += f"; saved in {result.saved}" if result.saved else ""
    return said + ("" if result.revealed or not result.matched else "; secrets are masked (--reveal shows them)")


class TapResultJson(TypedDict):
    """What passed an exchange; `saved` is the file with the messages."""

    schema: Literal["attune-ops/messages-tap/1"]
    exchange: str
    vhost: str
    keys: list[str]
    seen: int
    matched: int
    taken_at: str
    saved: str | None
    revealed: bool
    messages: list[view_preview.MessageData]
    notes: list[str]


JSON = TapResultJson


def as_json(result: TapResult) -> TapResultJson:
    """`attune-ops/messages-tap/1`."""
    return {
        "schema": SCHEMA,
        "exchange": result.exchange,
        "vhost": result.vhost,
        "keys": list(result.keys),
        "seen": result.seen,
        "matched": result.matched,
        "taken_at": wire.utc(result.taken_at),
        "saved": result.saved,
        "revealed": result.revealed,
        "messages": [view_preview.data(m) for m in result.messages],
        "notes": list(result.notes),
    }


def rows(result: TapResult) -> Table:
    """A record per message."""
    return view_peek_result.table(result.messages, result.taken_at, result.notes)
