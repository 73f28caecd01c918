"""A recorded history made of readings of a small installation, without a broker."""

from __future__ import annotations

from datetime import datetime, timedelta
from pathlib import Path

import msgspec

from attune_ops.installation.config import Settings, resolve
from attune_ops.model.facts import Facts, Source
from attune_ops.monitoring.history_read import Period, Recorded, recorded
from attune_ops.monitoring.recorder import Recorder
from tests.unit import facts as small

NOWHERE = {"amqp_url": "amqp://u:Sekrit42x@127.0.0.1:9/%2F", "management_url": "http://u:Sekrit42x@127.0.0.1:9"}
BEGIN = small.NOW


def settings() -> Settings:
    return resolve(NOWHERE, {})


def at(seconds: float, made: Facts | None = None, **changes: object) -> Facts:
    """A reading so many seconds after the begin; `changes` are to the broker."""
    made = made or small.facts(**changes)  # type: ignore[arg-type]
    return msgspec.structs.replace(made, taken_at=BEGIN + timedelta(seconds=seconds))


def failed(seconds: float, reason: str = "connection refused") -> Facts:
    """A reading without a broker."""
    return at(seconds, Facts(small.facts().topology, BEGIN, missing={Source.BROKER: reason}))


def queues(**depths: int) -> tuple[object, ...]:
    """Queues of these depths; `__` stands for a dot."""
    return tuple(small.queue(n.replace("__", "."), messages=d, messages_ready=d) for n, d in depths.items())


def record(folder: Path, *readings: Facts, interval: float = 10.0) -> Recorded:
    """Records the readings and gives the history."""
    recorder = Recorder(settings(), str(folder), interval=interval)
    for reading in readings:
        recorder.add(reading)
    recorder.close()
    return recorded(settings(), str(folder), "attune")


def first(seconds: float) -> Period:
    """The period of the first readings of a test, up to so many seconds after the begin."""
    return Period(BEGIN, BEGIN + timedelta(seconds=seconds))


def whole(begin: datetime = BEGIN) -> Period:
    """A period with all readings of a test."""
    return Period(begin - timedelta(days=40), begin + timedelta(days=40))
