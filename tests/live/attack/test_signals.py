"""Signals at random moments to commands that move messages: each ends within 5 s, and nothing is lost.

By default 60 signals a command; `ATTUNE_OPS_TEST_SIGNALS=1000` for the nightly run.
"""

from __future__ import annotations

import os
import random
import shlex
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from attune_ops import connect
from tests.live.messages.ledger import SEED, fill, in_queue, say
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost, clean_environment

pytestmark = pytest.mark.slow

COUNT = 4000
SIGNALS = int(os.environ.get("ATTUNE_OPS_TEST_SIGNALS", "60"))
KINDS = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
ENDS_S = 5.0
PROGRAM = """
import shlex, sys
from attune_ops.cli._main import main
from attune_ops.messages import drain, move, peek, restore
print("ready", flush=True)
sys.exit(main(shlex.split(sys.stdin.readline())))
"""

Run = Callable[[str, float | None], int]


@pytest.fixture
def signalled(vhost: Vhost, tmp_path: Path) -> Iterator[Run]:
    """`signalled(line, s)` runs a command and, after s seconds, signals it; returns its exit status."""
    environment = clean_environment(tmp_path) | vhost.environment
    kinds = 0

    def start() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", PROGRAM],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
        )  # fmt: skip

    waiting = [start()]

    def run(line: str, after: float | None) -> int:
        nonlocal kinds
        process = waiting.pop()
        waiting.append(start())
        with ending(process):
            assert process.stdout is not None
            assert process.stdin is not None
            assert process.stderr is not None
            assert process.stdout.readline() == "ready\n"
            process.stdin.write(line + "\n")
            process.stdin.flush()
            if after is None:
                return process.wait(60)
            time.sleep(after)
            kinds += 1
            number = KINDS[kinds % len(KINDS)]
            process.send_signal(number)
            try:
                status = process.wait(within())
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGABRT)  # prints where it hangs
                pytest.fail(f"{line} goes on {within():g} s after {number.name}: {process.stderr.read()}")
            said = process.stderr.read()
            assert "a bug" not in said, said
            assert status in (0, 130, -number), said  # the last: it had not begun
            return status

    yield run
    with ending(waiting[0]):
        pass


def within() -> float:
    """How long it may take: 5 s, and more where the machine has more to do than it has processors."""
    return ENDS_S * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


@contextmanager
def ending(process: subprocess.Popen[str]) -> Iterator[None]:
    try:
        yield
    finally:
        process.kill()
        process.communicate()


def moments() -> Iterator[float]:
    random.seed(SEED)
    for _ in range(SIGNALS):
        yield random.uniform(0, 0.8)


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
