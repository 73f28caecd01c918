"""Killed at random moments, draining, restoring and moving lose nothing; what is there twice is counted.

By default a bounded number; the full run is `ATTUNE_OPS_TEST_KILLS=300 ATTUNE_OPS_TEST_MESSAGES=10000`, with -s to see
the numbers. `ATTUNE_OPS_TEST_SEED` repeats the moments of another run as far as the machine allows.
"""

from __future__ import annotations

import os
import random
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from attune_ops import connect
from attune_ops.messages.publisher import WINDOW
from attune_ops.messages.queue_reader import BATCH, PREFETCH
from attune_ops.ops import Ops
from tests.live.messages.ledger import COUNT, SEED, Killable, fill, in_file, in_queue, say, spare
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost, clean_environment

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("ATTUNE_OPS_TEST_KILLS", "12"))
BOUNDED_S = 20.0 if "ATTUNE_OPS_TEST_KILLS" not in os.environ else float("inf")

Take = Callable[[], Killable]


@dataclass
class Score:
    """What the kills of one test did."""

    kills: int = 0
    rounds: int = 0
    doubled: int = 0
    span_s: float = 1.0  # within which a process is killed: somewhat more than one takes that is not
    began: float = field(default_factory=time.monotonic)

    @property
    def goes_on(self) -> bool:
        return self.kills < KILLS and (self.rounds < 1 or time.monotonic() - self.began < BOUNDED_S)

    def say(self, what: str) -> None:
        say(f"{what}: {self.kills} kills in {self.rounds} rounds of {COUNT}, {self.doubled} there twice (seed {SEED})")


@pytest.fixture
def ops(vhost: Vhost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ops:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    random.seed(SEED)
    return connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)


@pytest.fixture
def environment(tmp_path: Path) -> dict[str, str]:
    return clean_environment(tmp_path)


def lives(take: Take, score: Score, what: str, *arguments: str | Path, most: int = 6) -> int:
    """Gives an order again and again, each time killed at a random moment, at last let run to its end.

    Returns how often it was killed.
    """
    killed = 0
    while killed < most and score.goes_on:
        one = take()
        one.start(what, *arguments)
        began = time.monotonic()
        if not one.kill_after(random.uniform(0, score.span_s)):
            score.span_s = 1.2 * (time.monotonic() - began)
            return killed
        killed += 1
        score.kills += 1
    one = take()
    one.start(what, *arguments)
    result = one.result()
    assert "error" not in result, result
    return killed


def test_drain(ops: Ops, vhost: Vhost, environment: dict[str, str], tmp_path: Path) -> None:
    score = Score()
    declare(vhost, "q")
    with spare(vhost, environment) as take:
        while score.goes_on:
            ids, file = fill(ops.settings, "q"), tmp_path / f"kept-{score.rounds}.jsonl"
            killed = lives(take, score, "drain", "q", file)
            kept = in_file(file)
            assert set(kept) == ids, "lost"
            assert in_queue(ops.settings, "q") == {}
            doubled = kept.total() - COUNT
            assert doubled <= killed * PREFETCH
            left_out = ops.messages.restore(file).count("duplicate")
            assert left_out == doubled, "restore counts the second copies"
            score.rounds, score.doubled = score.rounds + 1, score.doubled + doubled
    score.say("drain")


def test_restore(ops: Ops, vhost: Vhost, environment: dict[str, str], tmp_path: Path) -> None:
    score = Score()
    declare(vhost, "q")
    with spare(vhost, environment) as take:
        while score.goes_on:
            ids, file = fill(ops.settings, "q"), tmp_path / f"kept-{score.rounds}.jsonl"
            ops.messages.drain("q", file, apply=True)
            killed = lives(take, score, "restore", file)
            found = in_queue(ops.settings, "q")
            assert set(found) == ids, "lost"
            doubled = found.total() - COUNT
            assert doubled <= killed * WINDOW
            score.rounds, score.doubled = score.rounds + 1, score.doubled + doubled
    score.say("restore")


def test_move(ops: Ops, vhost: Vhost, environment: dict[str, str]) -> None:
    score = Score()
    declare(vhost, "q", "other")
    with spare(vhost, environment) as take:
        while score.goes_on:
            ids = fill(ops.settings, "q")
            killed = lives(take, score, "move", "q", "other")
            found: Counter[str] = in_queue(ops.settings, "other") + in_queue(ops.settings, "q")
            assert set(found) == ids, "lost"
            doubled = found.total() - COUNT
            assert doubled <= killed * (WINDOW + BATCH)
            score.rounds, score.doubled = score.rounds + 1, score.doubled + doubled
    score.say("move")
