"""A broker that stops reading in the middle of large messages, and a pipe that nobody reads: the output waits.

What ends such a command, a signal or the deadline, is a limit of its own, however quiet the machine is.
"""

from __future__ import annotations

import json
import os
import select
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.live.attack.proxy import between, margin, spend
from tests.live.attack.test_signals import ENDS_S, within
from tests.live.messages.ledger import in_file, in_queue
from tests.live.messages.site import connect
from tests.live.messages.test_round_trip import declare, publish
from tests.unit.messages.wire import properties
from tests.world import Vhost, clean_environment, eventually

pytestmark = pytest.mark.slow

COUNT, SIZE = 20, 1 << 20  # more than the buffers of the kernel take
AFTER = 3 << 20  # bytes, then there is silence
TIMEOUT_S = 2
ORDERS = {
    "drain": "messages drain q --to kept --apply",
    "restore": "messages restore kept --apply --exchange= --routing-key=other",
    "move": "messages move q other --apply",
}


@pytest.fixture
def site(vhost: Vhost, tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[Vhost]:
    """Two queues, one with large messages; for `restore` they are drained already."""
    what = request.getfixturevalue("what")
    ops = connect(vhost)
    declare(vhost, "q", "other")
    bodies = {str(n): json.dumps({"message_id": str(n), "pad": "x" * SIZE}).encode() for n in range(COUNT)}
    publish(ops.settings, [("q", properties(delivery_mode=2, message_id=n), body) for n, body in bodies.items()])
    if what == "restore":
        assert spend(tmp_path, vhost.environment, *shlex.split(ORDERS["drain"])).status == 0
    yield vhost
    again = spend(tmp_path, vhost.environment, *shlex.split(ORDERS[what]))
    assert again.status == 0, again
    found = in_queue(ops.settings, "q") + in_queue(ops.settings, "other")
    if what == "drain":
        found += in_file(tmp_path / "kept")
    assert set(found) == set(bodies), "lost"


@pytest.mark.parametrize("what", ORDERS)
def test_a_signal_ends_it(what: str, site: Vhost, tmp_path: Path) -> None:
    with between(site, "silent", AFTER) as (proxy, environment):
        said = interrupted(tmp_path, environment, ORDERS[what], lambda: proxy.fault == "silent")
    assert "run the same command again to resume" in said


@pytest.mark.parametrize("what", ["restore"])  # the others: `test_network`
def test_the_deadline_ends_it(what: str, site: Vhost, tmp_path: Path) -> None:
    with between(site, "silent", AFTER) as (_, environment):
        done = spend(tmp_path, environment, *shlex.split(ORDERS[what]), "--timeout", f"{TIMEOUT_S}s")
    assert done.status == 3, done
    assert done.seconds < TIMEOUT_S + 2 + margin(), done


@pytest.mark.parametrize("what", ["drain"])
def test_a_pipe_that_is_not_read(what: str, site: Vhost, tmp_path: Path) -> None:
    read, write = os.pipe()
    try:
        line = "messages drain q --to - --apply"
        interrupted(tmp_path, site.environment, line, lambda: select.select([read], [], [], 0)[0], stdout=write)
    finally:
        os.close(read)
        os.close(write)


def interrupted(folder: Path, environment: dict[str, str], line: str, when: Callable[[], Any], **more: Any) -> str:
    """Sends SIGTERM to the command, half a second after `when`: it ends in time; what it said."""
    process = subprocess.Popen(
        [sys.executable, "-m", "attune_ops", *shlex.split(line)],
        cwd=folder, env=clean_environment(folder) | environment, stderr=subprocess.PIPE, text=True, **more,
    )  # fmt: skip
    try:
        eventually(when)
        time.sleep(0.5)  # now its output fills the buffers
        assert process.poll() is None
        process.send_signal(signal.SIGTERM)
        began = time.monotonic()
        said = str(process.communicate(timeout=60)[1])
        took = time.monotonic() - began
    finally:
        process.kill()
        process.communicate()
    assert process.returncode == 130, said
    assert took < within(), f"{took:.1f} s after the signal; {ENDS_S} s are the limit"
    return said
