"""A worker that starts or stops while the doctor reads lacks nothing: what seems missing is read again."""

from __future__ import annotations

import threading
from collections.abc import Callable

import pytest

from attune_ops.doctor.findings import Severity
from attune_ops.installation.collect import Round
from attune_ops.installation.management import Management
from attune_ops.model.registry import RegistryView
from tests.live.places import Place, found
from tests.world import loaded

Read = Callable[[], object]


@pytest.mark.parametrize("listing", ["totals", "bindings"])
def test_a_worker_that_starts_after_the_queues_are_read(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch, listing: str
) -> None:
    """Its row was read, its queue or its binding was read before: no finding, and the second reading has it."""
    p = place().populate()
    read = threading.Event()
    listed, registry = getattr(Management, listing), Round._registry

    def reads(self: Management) -> object:
        answer = listed(self)
        read.set()
        return answer

    def starts(self: Round) -> RegistryView | None:
        assert read.wait(loaded(60))
        if "w9" not in p.services:
            p.start("worker", "w9")
        return registry(self)

    monkeypatch.setattr(Management, listing, reads)
    monkeypatch.setattr(Round, "_registry", starts)
    report = p.look()
    assert not found(report, Severity.ERROR)
    assert [w.name for w in report.facts.live_workers] == ["w1", "w2", "w9"]


def test_a_worker_that_stops_before_the_queues_are_read(
    place: Callable[..., Place], monkeypatch: pytest.MonkeyPatch
) -> None:
    p = place().populate()
    read = threading.Event()
    totals, registry = Management.totals, Round._registry

    def reads(self: Round) -> RegistryView | None:
        answer = registry(self)
        read.set()
        return answer

    def stops(self: Management) -> object:
        assert read.wait(loaded(60))
        if "w2" in p.services:
            p.services.pop("w2").stop()
        return totals(self)

    monkeypatch.setattr(Management, "totals", stops)
    monkeypatch.setattr(Round, "_registry", reads)
    report = p.look()
    assert not found(report, Severity.ERROR)
    assert [w.name for w in report.facts.live_workers] == ["w1"]
