"""Signals at random moments to commands that move messages: each ends within 5 s, and nothing is lost.

By default 60 signals a command; `ATTUNE_OPS_TEST_SIGNALS=1000` for the nightly run.
"""

from __future__ import annotations

import os
import random
import select
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from attune_ops import connect
from tests.live.messages.ledger import SEED, fill, in_file, in_queue, say
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost, clean_environment, loaded

pytestmark = pytest.mark.slow

COUNT = 2000
SIGNALS = int(os.environ.get("ATTUNE_OPS_TEST_SIGNALS", "60"))
KINDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDS_S = 5.0
LONGEST_S = 0.3  # until the signal: about what the whole command takes
# Has loaded everything, and becomes a process of its own for each command: a second of processor time less each.
PROGRAM = """
import os, shlex, sys
from attune_ops.cli._main import main
from attune_ops.messages import drain, move, peek, restore
for line in sys.stdin:
    file, *words = shlex.split(line)
    child = os.fork()
    if child == 0:
        os.dup2(os.open(file, os.O_CREAT | os.O_WRONLY | os.O_TRUNC), 2)
        os.dup2(os.open(os.devnull, os.O_RDWR), 0)
        os.dup2(0, 1)
        sys.exit(main(words))
    print(child, flush=True)
    print(os.waitpid(child, 0)[1], flush=True)
"""

Run = Callable[[str, float | None], int]


@pytest.fixture
def signalled(vhost: Vhost, tmp_path: Path) -> Iterator[Run]:
    """`signalled(line, s)` runs a command and, after s seconds, signals it; returns its exit status."""
    program = subprocess.Popen(
        [sys.executable, "-c", PROGRAM],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, bufsize=0, env=clean_environment(tmp_path) | vhost.environment,
    )  # fmt: skip
    assert program.stdout is not None
    assert program.stdin is not None
    errors, orders, out, took = tmp_path / "errors", program.stdin, program.stdout, list[float]()

    def answer(seconds: float) -> int | None:
        """The program's next line, None where it does not come in time."""
        return int(out.readline()) if select.select([out], [], [], seconds)[0] else None

    def run(line: str, after: float | None) -> int:
        orders.write(f"{shlex.quote(str(errors))} {line}\n".encode())
        child = answer(60)
        assert child is not None
        if after is None:
            ended = answer(60)
            assert ended is not None
            return os.waitstatus_to_exitcode(ended)
        number = KINDS[len(took) % len(KINDS)]
        ended, began = answer(after), time.monotonic()
        if ended is None:  # else it had ended before
            with suppress(ProcessLookupError):
                os.kill(child, number)
            ended = answer(max(within(), 60))
        took.append(time.monotonic() - began)
        if ended is None:
            os.kill(child, signal.SIGABRT)  # prints where it hangs
            answer(10)
        said = errors.read_text()
        assert ended is not None, f"{line} goes on after {number.name}: {said}"
        assert took[-1] < within(), f"{line} goes on {took[-1]:.1f} s after {number.name}: {said}"
        assert "a bug" not in said, said
        status = os.waitstatus_to_exitcode(ended)
        assert status in (0, 130, -number), said  # the last: it had not begun
        return status

    try:
        yield run
    finally:
        program.kill()
        program.communicate()
        ordered = sorted(took)
        quantiles = {f"{q:.3g}": round(ordered[int(q * (len(ordered) - 1))], 2) for q in (0.5, 0.9, 0.99, 1)}
        say(f"s from the signal to the end: {quantiles}; load {os.getloadavg()[0]:.1f}")


def within() -> float:
    """How long it may take: 5 s, and more where the machine has more to do than it has processors."""
    return loaded(ENDS_S)


def moments() -> Iterator[float]:
    random.seed(SEED)
    for _ in range(SIGNALS):
        yield random.uniform(0, LONGEST_S)


def test_restore(vhost: Vhost, signalled: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    ops = connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)
    declare(vhost, "q")
    rounds = interrupted = 0
    left = moments()
    going = True
    while going:
        ids, file = fill(ops.settings, "q", COUNT), tmp_path / f"kept-{rounds}.jsonl"
        ops.messages.drain("q", file, apply=True)
        line = f"messages restore {shlex.quote(str(file))} --apply"
        while (after := next(left, None)) is not None and signalled(line, after) != 0:
            interrupted += 1
        going = after is not None
        assert signalled(line, None) == 0
        found = in_queue(ops.settings, "q")
        assert set(found) == ids, "lost"
        assert found.total() == COUNT, "what was confirmed is noted, so nothing is published twice"
        rounds += 1
    say(f"restore: {interrupted} of {SIGNALS} interrupted, {rounds} rounds (seed {SEED})")


def test_drain(vhost: Vhost, signalled: Run, tmp_path: Path) -> None:
    settings = connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url).settings
    declare(vhost, "q")
    rounds = interrupted = 0
    left = moments()
    going = True
    while going:
        ids, file = fill(settings, "q", COUNT), tmp_path / f"kept-{rounds}.jsonl"
        line = f"messages drain q --to {shlex.quote(str(file))} --apply"
        while (after := next(left, None)) is not None and signalled(line, after) != 0:
            interrupted += 1
        going = after is not None
        assert signalled(line, None) == 0
        found = in_file(file) + in_queue(settings, "q")
        assert set(found) == ids, "lost"
        assert found.total() == COUNT, "what is in the file is acknowledged, so nothing is there twice"
        rounds += 1
    say(f"drain: {interrupted} of {SIGNALS} interrupted, {rounds} rounds (seed {SEED})")


def test_move(vhost: Vhost, signalled: Run, tmp_path: Path) -> None:
    settings = connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url).settings
    declare(vhost, "q", "other")
    ids = fill(settings, "q", COUNT)
    source, target = "q", "other"
    interrupted = 0
    for after in moments():
        if signalled(f"messages move {source} {target} --apply", after) != 0:
            interrupted += 1
        else:
            source, target = target, source
    found: Counter[str] = in_queue(settings, "other") + in_queue(settings, "q")
    assert set(found) == ids, "lost"
    assert found.total() == COUNT, "what was confirmed is acknowledged, so nothing is there twice"
    say(f"move: {interrupted} of {SIGNALS} interrupted (seed {SEED})")
