"""The release that runs is recognised on the real broker, and the topology of another one leads to no damage."""

from __future__ import annotations

import json
import os
import re
import secrets
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path

import msgspec
import pytest

from attune_ops import lab
from attune_ops.model.topologies import load
from tests.conftest import end_lab
from tests.live.doctor.incidents import LIFECYCLE, SIX, lifecycle_queue
from tests.live.doctor.test_healthy_installations import trouble
from tests.live.places import JANUARY, SEPTEMBER, Place
from tests.live.printed import proves
from tests.live.screen import doctor
from tests.world import Broker, Run


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


@pytest.mark.slow
def test_release_0_5_before_there_are_statistics(run: Run, tmp_path: Path) -> None:
    """It has all objects of 0.6, and a queue more: whether that is consumed tells them apart, and is asked for.

    The broker collects statistics every ten minutes, so that these are the first seconds of a start for sure: queues
    send them that seldom, and the management plug-in takes them and the list of consumers that seldom.
    """
    slow = ["collect_statistics_interval = 600000"]
    slow += [f"management.sample_retention_policies.{kind}.hour = 600" for kind in ("global", "basic", "detailed")]
    made = lab.up(f"t{secrets.token_hex(4)}", server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), config=slow)
    try:
        broker = Broker(made.state.amqp_url, made.state.management_url)
        with ExitStack() as stack:
            places = {}
            for name, release in (("0.5", SEPTEMBER), ("left", SIX), ("unsure", SIX)):
                places[name] = Place(stack.enter_context(broker.vhost()), tmp_path, release)
                stack.callback(places[name].close)
                places[name].populate()
            assert trouble(doctor(places["0.5"], run)) == []
            if broker.version < (4, 3):  # which lists consumers at once
                assert places["0.5"].vhost.api("GET", "consumers/{vhost}").json() == []
            env = without_topology(places["0.5"])
            report = json.loads(run("doctor", "--format", "json", env=env, status=0).stdout)
            assert (report["target"]["topology"], report["target"]["recognised"]) == (SEPTEMBER, True)
            lifecycle_queue(places["left"])
            lifecycle_queue(places["unsure"])
            places["unsure"].services["sensor"].stop()
            for name in ("left", "unsure"):  # nobody consumes: a leftover, with and without a sensor of 0.6
                screen = doctor(places[name], run)
                assert screen.finding("AT412").startswith("WARNING"), "\n".join(screen.lines)
                assert screen.says("AT412", f"{LIFECYCLE} is a leftover of release 0.5")
    finally:
        end_lab(made.name)
