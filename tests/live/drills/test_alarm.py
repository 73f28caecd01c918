"""A drill on a broker with a resource alarm says so within 2 s, waits visibly, and ends cleanly on Ctrl-C."""

from __future__ import annotations

import os
import queue
import signal
import subprocess
import threading
import time
from collections.abc import Iterator

import pytest

from attune_ops.lab import Lab
from tests.world import Broker, Run, eventually

ON = {
    "memory": ("set_vm_memory_high_watermark", "absolute", "1000"),
    "disk": ("set_disk_free_limit", "900000GB"),
}
OFF = {"memory": ("set_vm_memory_high_watermark", "0.4"), "disk": ("set_disk_free_limit", "50MB")}
SAYS = "the broker blocks publishers"


class Lines:
    """What a process prints on stderr, with the time of each line."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._queue: queue.Queue[tuple[float, str]] = queue.Queue()
        self.all: list[str] = []
        threading.Thread(target=self._read, args=(process,), daemon=True).start()

    def _read(self, process: subprocess.Popen[str]) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._queue.put((time.monotonic(), line))

    def until(self, text: str, timeout: float = 60) -> tuple[float, str]:
        """The time and the first line with the text."""
        end = time.monotonic() + timeout
        while True:
            try:
                at, line = self._queue.get(timeout=max(0.01, end - time.monotonic()))
            except queue.Empty:
                raise AssertionError(f"no {text!r} in {self.all}") from None
            self.all.append(line)
            if text in line:
                return at, line


@pytest.fixture
def alarmed(module_lab: Lab) -> Iterator[Lab]:
    yield module_lab
    for off in OFF.values():
        module_lab.ctl(*off)
    eventually(lambda: module_lab.ctl("eval", "rabbit_alarm:get_alarms().").strip() == "[]", every=1)


def drill(lab: Lab, *more: str) -> tuple[str, ...]:
    return ("drill", "run", "worker-stop", "--lab", lab.name, *more)


def scratch(lab: Lab) -> list[str]:
    """The virtual hosts of drills on the lab."""
    listed = Broker(lab.state.amqp_url, lab.state.management_url).vhosts
    return [name for name in listed if name.startswith("attune-ops-drill-")]


def environment() -> dict[str, str]:
    return {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}


@pytest.mark.slow
@pytest.mark.parametrize("what", ["memory", "disk"])
def test_an_alarm_is_said_at_once_and_ctrl_c_ends_the_drill(run: Run, alarmed: Lab, what: str) -> None:
    alarmed.ctl(*ON[what])
    with run.start(*drill(alarmed), env=environment()) as process:
        lines = Lines(process)
        began, _ = lines.until("scratch virtual host")
        said, line = lines.until(SAYS, 10)
        assert said - began < 2
        assert what in line
        lines.until("still waiting after 1", 20)
        assert len(scratch(alarmed)) == 1
        process.send_signal(signal.SIGINT)
        lines.until("interrupted: undoing", 10)
        process.wait(timeout=120)  # a loaded broker may take its time for the virtual host
    assert process.returncode == 130
    assert not [line for line in lines.all if "Traceback" in line]
    assert scratch(alarmed) == []


@pytest.mark.slow
def test_an_alarm_in_the_middle_is_waited_for_and_the_drill_goes_on(run: Run, alarmed: Lab) -> None:
    began = time.monotonic()
    alarmed.ctl(*OFF["memory"])
    # Messages are still sent when an alarm that is set at their beginning is there, however long rabbitmqctl takes.
    sends = 15 + round(3 * (time.monotonic() - began))
    # Enough messages that half are ready at the end, however many the worker handles during the alarm (5 a second).
    with run.start(*drill(alarmed, "--rate", "50", "--duration", str(sends)), env=environment()) as process:
        lines = Lines(process)
        lines.until("scheduler started", 90)
        alarmed.ctl(*ON["memory"])
        on = time.monotonic()
        said, line = lines.until(SAYS, 15)
        assert said - on < 2
        assert "memory" in line
        time.sleep(33)  # longer than the time limit of the expectation that waits
        alarmed.ctl(*OFF["memory"])
        lines.until("the alarm is over", 15)
        assert process.stdout is not None
        out = process.stdout.read()
        assert process.wait(timeout=120) == 0, out
    assert "worker-stop: confirmed" in out
    assert scratch(alarmed) == []


def test_the_status_of_another_lab_names_those_that_run(run: Run, module_lab: Lab) -> None:
    done = run("lab", "status", "--name", "nope", env=environment(), status=1)
    assert "lab 'nope' is not running; running: " in done.stderr
    assert module_lab.name in done.stderr
    assert "attune-ops lab up --name nope" in done.stderr
    done = run("lab", "status", "--lab", "nope", env=environment(), status=1)
    assert module_lab.name in done.stderr
