"""The release that runs is recognised on the real broker, and the topology of another one leads to no damage."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import msgspec
import pytest

from attune_ops.model.topologies import load
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.live.printed import proves
from tests.world import Run


def without_topology(place: Place) -> dict[str, str]:
    """The environment that points the command at the place and names no topology."""
    return {name: value for name, value in place.environment.items() if name != "ATTUNE_OPS_TOPOLOGY"}


def test_the_topology_of_another_release_is_the_first_finding_and_nothing_else_changes_anything(
    place: Callable[..., Place], run: Run
) -> None:
    here = place(SEPTEMBER).populate()
    here.settings = msgspec.structs.replace(here.settings, topology=load(JANUARY))
    report = here.look()
    first = report.findings[0]
    assert (first.code, first.subject.name) == ("AT214", "topology")
    assert {"AT202", "AT204", "AT205"} <= {c.code for c in first.consequences}
    assert not [f for f in report.findings if f.commands]
    proves("AT214 doctor", here, report, run)


@pytest.mark.parametrize(
    "words",
    [
        ("topology", "apply"),
        ("topology", "unbind", "attune.events", "attune.events.queue", "#"),
        ("reap", "*", "--grace", "0s"),
        ("policy", "apply", "base-queues", "--max-length", "9"),
    ],
    ids=lambda words: " ".join(words[:2]),
)
def test_a_change_by_the_topology_of_another_release_is_refused(
    words: tuple[str, ...], place: Callable[..., Place], run: Run
) -> None:
    here = place(SEPTEMBER).populate()
    run("snapshot", "save", "before.json.gz", env=here.environment, status=0)
    refused = run(*words, "--apply", env={**here.environment, "ATTUNE_OPS_TOPOLOGY": JANUARY}, status=2)
    assert re.search(r"nothing was changed: the broker runs attune-(2026-09|0\.6) \(", refused.stderr)  # alike so far
    assert "--force" in refused.stderr
    run("snapshot", "save", "after.json.gz", env=here.environment, status=0)
    done = run("snapshot", "diff", "before.json.gz", "after.json.gz", "--format", "json", env=here.environment)
    objects = {r["object"] for r in json.loads(done.stdout)["rows"] if r["change"] != "changed"}  # counts may change
    assert not {"exchange", "queue", "binding", "policy"} & objects
    run(*words, "--apply", env=without_topology(here), status=0)  # what is recognised needs no --force
