"""The drills as a table, and journals from their files."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import msgspec

from attune_ops.drills import all_drills
from attune_ops.drills.journal import Comparison, Journal, decode
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table

COLUMNS = (
    Column("drill", doc="what `drill run` takes"),
    Column("needs", Kind.CATEGORY, doc="a virtual host, a broker of its own, or a cluster of its own"),
    Column("rabbitmq", doc="the releases that it runs on"),
    Column("hypothesis", doc="what it puts to the test"),
    Column("promise", doc="what RabbitMQ promises", priority=3),
    Column("source", doc="where it says so", priority=4),
    Column("about", doc="what it does, and what to do about it", priority=5),
)


def table() -> Table:
    """A row a drill."""
    rows = tuple(
        (
            d.name,
            d.needs,
            f"{d.since}+" if d.since else "any",
            d.hypothesis,
            d.promise,
            d.source,
            " ".join(d.explanation.split()),
        )
        for d in all_drills().values()
    )
    return Table("drills", COLUMNS, rows, datetime.now(UTC), key=("drill",))


def report(first: str, second: str | None = None) -> Journal | Comparison:
    """Reads a journal from a file, or two to compare; of a run with a remedy the second counts.

    Raises `ConfigError` where a file is none.
    """
    one = _load(first)
    return one if second is None else Comparison(_last(one), _last(_load(second)))


def _last(made: Journal | Comparison) -> Journal:
    return made if isinstance(made, Journal) else made.second


def _load(path: str) -> Journal | Comparison:
    try:
        return decode(Path(path).expanduser().read_bytes())
    except (OSError, ValueError, msgspec.DecodeError) as e:
        reason = getattr(e, "strerror", None) or str(e)
        raise ConfigError(f"{path!r} is no journal of drill run --save: {reason}") from None
