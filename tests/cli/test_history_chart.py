"""The charts of `history show` at terminals of several sizes."""

from __future__ import annotations

import pytest

from tests.terminal import printed
from tests.unit.monitoring.readings import BEGIN, NOWHERE, at, failed, queues, record
from tests.world import COMMAND, Run


@pytest.mark.parametrize(("width", "height"), [(80, 24), (200, 60)])
def test_a_chart_as_wide_and_high_as_the_terminal(run: Run, width: int, height: int) -> None:
    depths = [at(10 * i, queues=queues(grows=i, **{f"other{n}": 1 for n in range(3)})) for i in range(240)]
    record(run.folder / "h", *depths[:100], *(failed(10 * i) for i in range(100, 120)), *depths[120:])
    words = ("history", "show", "--folder", "h", "--since", f"{BEGIN:%Y-%m-%d}")
    env = run.environment(env={f"ATTUNE_OPS_{k.upper()}": v for k, v in NOWHERE.items()})

    def lines(*more: str) -> list[str]:
        done = printed([COMMAND, *words, *more], env, width=width, height=height, cwd=run.folder)
        assert done.status == 0, done.raw
        assert all(len(line) <= width for line in done.lines)
        return done.lines

    shown = lines("grows")
    assert len(shown) - shown.index("grows: messages") < height, "the chart is seen as a whole"
    drawn = [line.partition("│")[2] for line in shown if "│" in line]
    assert max(map(len, drawn)) == width - 10
    assert len(drawn) >= min(16, height - 11)
    assert [line[-1] for line in (drawn[0], drawn[-1])] == ["█", "█"], "the last reading is the deepest"
    assert 0.05 < drawn[-1].count("·") / len(drawn[-1]) < 0.15, "a tenth was not read"
    assert not any("│" in line for line in lines()), "four queues: the table is enough"
