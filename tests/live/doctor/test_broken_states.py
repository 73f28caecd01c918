"""Broken states on the real broker: each is found with the right subject, and what the findings print works.

Statistics are up to 10 s old, so the broken states are all built first, each in a virtual host of its own, and
then looked at until each is seen as it is.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from attune_ops.doctor.findings import Severity
from tests.live.doctor.broken import STATES
from tests.live.doctor.incidents import INCIDENTS
from tests.live.places import Place, found
from tests.live.printed import fix, look_further, printed
from tests.world import Run, eventually

pytestmark = pytest.mark.slow

PARTS = 5
ALL = {**STATES, **INCIDENTS}


@pytest.mark.parametrize("part", range(PARTS))
def test_broken_states(part: int, place: Callable[..., Place], run: Run) -> None:
    """Each state gives its findings and no other of severity error or warning; printed commands fix it."""
    states = dict(list(ALL.items())[part::PARTS])
    places = {name: place(state.topology).populate() for name, state in states.items()}
    for name, p in places.items():
        states[name].breaks(p)
    unseen, reports = dict(states), {}

    def all_seen() -> bool:
        for name, state in list(unseen.items()):
            report = reports[name] = places[name].look(state.only)
            seen = found(report, Severity.ERROR), found(report, Severity.WARNING)
            if seen == (set(state.errors), set(state.warnings)) and set(state.prints) <= printed(report).keys():
                del unseen[name]
        return not unseen

    try:
        eventually(all_seen, within=45, every=1)
    except AssertionError:
        said = {
            n: (found(reports[n], Severity.ERROR), found(reports[n], Severity.WARNING), set(printed(reports[n])))
            for n in unseen
        }
        pytest.fail(f"found otherwise: {said}")
    looked: set[str] = set()
    for name, report in reports.items():
        look_further(places[name], report, run, looked)
    for name, report in reports.items():
        fix(places[name], report, run, states[name].only)
