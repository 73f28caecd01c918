"""A wait of known length: a bar with its total at a terminal, and nothing but the line of before in a pipe."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from tests.live.doctor.broken import W1, W2, eventually_held
from tests.live.places import Place
from tests.terminal import printed
from tests.world import COMMAND, Run, eventually

pytestmark = pytest.mark.slow
SAMPLE, WAIT = "second sample", "waiting"


def at_terminal(p: Place, run: Run, *words: str, status: int) -> str:
    """What the terminal got on stderr, while stdout went elsewhere."""
    shown = printed([COMMAND, *words], run.environment(env=p.environment), stream="stderr")
    assert shown.status == status, shown.raw
    assert "Traceback" not in shown.raw
    assert "\x1b[?25h" in shown.raw or "\x1b[?25l" not in shown.raw, "the cursor is shown again"
    return shown.raw


def in_pipe(p: Place, run: Run, *words: str, status: int) -> list[str]:
    return run(*words, env=p.environment, status=status).stderr.splitlines()


@pytest.fixture
def held(place: Callable[..., Place]) -> Place:
    """A worker that holds its whole prefetch while messages are ready, and another that has lost its queue."""
    p = place().populate()
    p.publish("attune.executions", "worker.1", 14)
    eventually_held(p, W1, 10)
    eventually(lambda: W1 in p.look(["AT505"], samples=1).facts.actual.consumers_of, within=30, every=1)
    p.vhost.api("DELETE", f"queues/{{vhost}}/{W2}")
    return p


def test_what_is_waited_for_and_of_how_many_seconds(held: Place, run: Run) -> None:
    both = at_terminal(held, run, "doctor", "--only", "AT401,AT505", "--wait", "1s", status=1)
    assert "shows whether it is stuck" in both
    assert SAMPLE in both
    assert " of 7 s" in both
    assert "waiting for AT401" in both
    assert " of 1 s" in both, "the sample within the wait has no bar of its own"
    (line,) = in_pipe(held, run, "doctor", "--only", "AT505", "--fail-on", "never", status=0)
    assert "the second sample in 7 s shows whether it is stuck" in line
    (line,) = in_pipe(held, run, "doctor", "--only", "AT401", "--wait", "1s", status=1)
    assert line.startswith("waiting for AT401: ")

    two = ("doctor", "--only", "AT202", "--interval", "2s")
    assert " of 2 s" in at_terminal(held, run, *two, status=0)
    assert in_pipe(held, run, *two, status=0) == []

    probe = ("health", "worker", "w2", "--wait", "2s")
    raw = at_terminal(held, run, *probe, status=1)
    assert WAIT in raw
    assert " of 2 s" in raw
    assert [line.partition(": ")[2] for line in in_pipe(held, run, *probe, status=1)] == [
        "queue worker.2.executions is missing"
    ], "said once"
    assert " of 7 s" not in at_terminal(held, run, "health", "worker", "w1", status=0), "a probe waits for no sample"
