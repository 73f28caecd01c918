"""A memory or disk alarm while messages are published: said at once, waited for, left cleanly, nothing lost."""

from __future__ import annotations

import signal
import time
from collections.abc import Iterator
from queue import Queue
from subprocess import Popen
from threading import Thread

import pytest

from attune_ops import lab
from tests.live.messages.ledger import fill, in_file, in_queue
from tests.live.messages.site import connect
from tests.live.messages.test_round_trip import declare
from tests.world import Broker, Run, Vhost, loaded

pytestmark = pytest.mark.slow

COUNT = 1500
RAISE = {"memory": ("set_vm_memory_high_watermark", "0.00001"), "disk": ("set_disk_free_limit", "900000000000000")}
CLEAR = {"memory": ("set_vm_memory_high_watermark", "0.6"), "disk": ("set_disk_free_limit", "1MB")}


@pytest.fixture
def vhost(module_lab: lab.Lab) -> Iterator[Vhost]:
    with Broker(module_lab.state.amqp_url, module_lab.state.management_url).vhost() as made:
        yield made


def alarm(module_lab: lab.Lab, kind: str, on: bool) -> None:
    """Sets a limit that raises the alarm at once, or one that clears it."""
    module_lab.ctl(*(RAISE if on else CLEAR)[kind])


def said_until(said: Queue[str], word: str) -> list[str]:
    """The lines up to the one with the word."""
    found: list[str] = []
    while not found or word not in found[-1]:
        found.append(said.get(timeout=60))
    return found


def lines_of(process: Popen[str]) -> Queue[str]:
    """The lines of stderr as they come."""
    found: Queue[str] = Queue()

    def read() -> None:
        assert process.stderr is not None
        for line in process.stderr:
            found.put(line)

    Thread(target=read, daemon=True).start()
    return found


def restoring(vhost: Vhost, run: Run) -> tuple[set[str], tuple[str, ...]]:
    """A file to restore; the ids of its messages, and the command, with a deadline that the alarm outlasts."""
    declare(vhost, "q", "other")
    ids = fill(connect(vhost).settings, "q", COUNT)
    connect(vhost).messages.drain("q", run.folder / "kept", apply=True)
    return ids, ("messages", "restore", "kept", "--exchange=", "--routing-key=other", "--apply", "--timeout", "2s")


def test_a_memory_alarm_is_said_and_left_cleanly(module_lab: lab.Lab, vhost: Vhost, run: Run) -> None:
    ids, order = restoring(vhost, run)
    alarm(module_lab, "memory", True)
    try:
        with run.start(*order, target=vhost) as process:
            first = lines_of(process).get(timeout=60)
            assert "blocks publishers: low on memory" in first, first
            begun = (run.folder / "kept.restored").stat().st_ctime  # written just before the first message
            assert time.time() - begun < loaded(2)
            time.sleep(4)  # longer than the deadline: it waits on purpose
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            began = time.monotonic()
            assert process.wait(60) == 130
            assert time.monotonic() - began < loaded(5)
    finally:
        alarm(module_lab, "memory", False)
    assert set(in_file(run.folder / "kept")) == ids
    run(*order, target=vhost, status=0)
    assert set(in_queue(connect(vhost).settings, "other")) == ids, "lost"


def test_a_disk_alarm_is_waited_for(module_lab: lab.Lab, vhost: Vhost, run: Run) -> None:
    ids, order = restoring(vhost, run)
    alarm(module_lab, "disk", True)
    try:
        with run.start(*order, target=vhost) as process:
            said = lines_of(process)
            assert "blocks publishers: low on disk" in said.get(timeout=60)
            assert "blocks publishers for 10 s: low on disk" in said.get(timeout=60)
            alarm(module_lab, "disk", False)
            said_until(said, "accepts messages again")
            assert process.wait(60) == 0
    finally:
        alarm(module_lab, "disk", False)
    found = in_queue(connect(vhost).settings, "other")
    assert set(found) == ids, "lost"
    assert found.total() == COUNT
