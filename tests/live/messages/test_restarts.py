"""A broker that goes down in the middle, cleanly or as in a power cut, costs no message either.

Killed once each by default; `ATTUNE_OPS_TEST_RESTARTS=10 ATTUNE_OPS_TEST_MESSAGES=10000` is the full run, -s shows the
numbers. They run on a broker of their own, of the installation that `ATTUNE_OPS_TEST_SERVER` names.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune_ops import connect, lab
from attune_ops.installation.amqp import CLOSE_S
from attune_ops.messages.publisher import open_publisher
from attune_ops.ops import Ops
from tests.live.messages.ledger import COUNT, SEED, Killable, fill, in_file, in_queue, say, spare
from tests.live.messages.test_round_trip import declare
from tests.world import Broker, Run, Vhost, clean_environment, loaded

ROUNDS = int(os.environ.get("ATTUNE_OPS_TEST_RESTARTS", "1"))
CONNECTED_S = 0.2  # what it needs at least before there is something to interrupt
SPAN_S = {"drain": 0.7, "restore": 2.0, "move": 2.0}  # within which the broker then goes down


@pytest.fixture
def vhost(module_lab: lab.Lab) -> Iterator[Vhost]:
    random.seed(SEED)
    with Broker(module_lab.state.amqp_url, module_lab.state.management_url).vhost() as made:
        yield made


@pytest.fixture
def ops(vhost: Vhost) -> Ops:
    return connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)


def outage(module_lab: lab.Lab, vhost: Vhost, folder: Path, hard: bool, what: str, *arguments: str | Path) -> str:
    """Gives an order, takes the broker down in the midst of it, brings it back and gives the order again.

    Returns how the first attempt ended.
    """
    node = module_lab.state.node.name
    with spare(vhost, clean_environment(folder)) as take:
        one: Killable = take()
        one.start(what, *arguments, **({} if what == "drain" else {"rate": COUNT / SPAN_S[what]}))
        time.sleep(CONNECTED_S + random.uniform(0, SPAN_S[what]))
        (module_lab.kill_node if hard else module_lab.stop_node)(node)
        first = one.result()
        module_lab.start_node(node)
        one = take()
        one.start(what, *arguments)
        result = one.result()
        assert "error" not in result, result
    return str(first.get("error", "it had finished"))


@pytest.mark.slow
def test_a_broker_that_does_not_answer_is_left_all_the_same(module_lab: lab.Lab, ops: Ops) -> None:
    node = module_lab.state.node.name
    began = 0.0
    try:
        with open_publisher(ops.settings):
            module_lab.suspend_node(node)
            began = time.monotonic()
    finally:
        module_lab.resume_node(node)
    assert time.monotonic() - began < loaded(2 * CLOSE_S)


def size(file: Path) -> int:
    return file.stat().st_size if file.exists() else 0


@pytest.mark.slow
def test_interrupted_while_the_broker_does_not_answer(module_lab: lab.Lab, vhost: Vhost, ops: Ops, run: Run) -> None:
    declare(vhost, "q", "other")
    fill(ops.settings, "q")
    ops.messages.drain("q", run.folder / "f", apply=True)
    ids = fill(ops.settings, "q", 20_000)
    node = module_lab.state.node.name
    for sent, order, marks in (
        (signal.SIGINT, ("restore", "f", "--exchange", "", "--routing-key", "other", "--rate", "500"), "f.restored"),
        (signal.SIGTERM, ("drain", "q", "--to", "g"), "g"),
        (signal.SIGINT, ("move", "q", "other", "--rate", "500"), "../home/state/attune-ops/audit.jsonl"),
    ):
        mark = run.folder / marks
        before = size(mark)
        with run.start("messages", *order, "--apply", target=vhost) as process:
            while size(mark) == before:
                assert process.poll() is None, process.communicate()
                time.sleep(0.01)
            module_lab.suspend_node(node)
            try:
                time.sleep(0.2)
                process.send_signal(sent)
                began = time.monotonic()
                _, said = process.communicate(timeout=60)
            finally:
                module_lab.resume_node(node)
        assert process.returncode == 130, order
        assert re.fullmatch(
            r"attune-ops: interrupted; [\d,]+ messages? (is|are|was|were) .*; run the same command .*", said.strip()
        )
        assert time.monotonic() - began < loaded(2 * CLOSE_S), order
    ops.messages.drain("q", run.folder / "g", apply=True)
    assert ids <= set(in_file(run.folder / "g")) | set(in_queue(ops.settings, "other"))


@pytest.mark.slow
@pytest.mark.parametrize(
    "hard", [True, False] if ROUNDS > 1 else [True], ids=lambda hard: "killed" if hard else "stopped"
)
@pytest.mark.parametrize("what", ["drain", "restore", "move"])
def test_nothing_is_lost(what: str, hard: bool, module_lab: lab.Lab, vhost: Vhost, ops: Ops, tmp_path: Path) -> None:
    doubled = 0
    for n in range(ROUNDS):
        declare(vhost, "q", "other")
        ids, file = fill(ops.settings, "q"), tmp_path / f"kept-{n}.jsonl"
        # A queue that was declared just before a kill can be gone (drill declare-then-kill).
        module_lab.ctl("eval", "mnesia:sync_log().")
        if what == "restore":
            ops.messages.drain("q", file, apply=True)
        orders: dict[str, tuple[str | Path, ...]] = {"drain": ("q", file), "restore": (file,), "move": ("q", "other")}
        ended = outage(module_lab, vhost, tmp_path, hard, what, *orders[what])
        found: Counter[str] = in_queue(ops.settings, "q") + in_queue(ops.settings, "other")
        if what == "drain":
            assert found == {}
            found = in_file(file)
            assert ops.messages.restore(file).count("duplicate") == found.total() - COUNT
        assert set(found) == ids, "lost"
        doubled += found.total() - COUNT
        say(f"{what}, broker {'killed' if hard else 'stopped'}: {found.total() - COUNT} there twice; {ended[:150]}")
