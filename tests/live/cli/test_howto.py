"""The commands of the how-to pages run as printed, in their order, on a real broker with real services."""

from __future__ import annotations

import shlex
from collections.abc import Callable

import pytest

from tests.docs.test_howto import DOCS, commands
from tests.live.places import SEPTEMBER, Place
from tests.world import Run

PAGES = sorted((DOCS / "howto").glob("*.md"))
NO = ("doctor", "snapshot diff", "health worker")  # "no" is an answer, with status 1


@pytest.mark.slow
def test_the_commands_of_the_pages_run_as_printed(place: Callable[..., Place], run: Run) -> None:
    here = place(SEPTEMBER).populate()
    environment = {**here.vhost.environment, "ATTUNE_OPS_DATABASE_URL": here.database}
    lines = {line: page for page in PAGES for line in commands(page, "sh")}  # the same line runs once
    assert len(lines) > 25
    for line, page in lines.items():
        here.beat()
        done = run.shell(line, environment, timeout=90)
        said = f"{page.name}: $ {line}\n{done.stdout}{done.stderr}exit status {done.returncode}"
        allowed = (0, 1) if any(line.startswith(f"attune-ops {name}") for name in NO) else (0,)
        assert done.returncode in allowed, said
        assert "Traceback" not in done.stderr, said
    changed = [line for line in lines if "--apply" in shlex.split(line, comments=True)]
    assert changed == ["attune-ops reap --apply"]
    assert {"worker.1.executions", "worker.2.executions"} <= here.vhost.names("queues")  # those in use stay
