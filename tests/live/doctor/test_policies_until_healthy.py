"""Each kind of policy that loses messages: severity and fix on the first screen, then the fix as it stands there."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from pika.exceptions import NackError

from tests.live.doctor.broken import eventually_held
from tests.live.doctor.incidents import SIX, STATUS, STATUS_KEY
from tests.live.places import Place
from tests.live.screen import copy, healthy, shows
from tests.world import Run

pytestmark = pytest.mark.slow

WORKERS = r"^worker\."
HELD = 20  # by two executors, which together get no more
FULL = 25  # a limit that is not below what they may hold
QUORUM = "attune.enforcements.queue"


class Losing(NamedTuple):
    """A policy, and what the first screen says of it. `overflows` publishes more than fits."""

    pattern: str
    definition: dict[str, Any]
    severity: str
    says: tuple[str, ...]
    overflows: bool = False


POLICIES = {
    "expires": Losing(
        WORKERS, {"expires": 120_000}, "ERROR",
        ("expires 2 min deletes the queue with its messages", "for less time than a worker may need to start"),
    ),
    "expires-later": Losing("^attune.execution", {"expires": 3_600_000}, "WARNING", ("expires 1 h deletes the queue",)),
    "ttl": Losing(
        "^attune.execution.status", {"message-ttl": 60_000}, "ERROR",
        (f"policy ttl loses messages of {STATUS}: message-ttl 1 min: messages wait", "and expire"),
    ),
    "ttl-later": Losing(WORKERS, {"message-ttl": 60_000}, "WARNING", ("message-ttl 1 min expires messages that wait",)),
    "drop-head": Losing(
        "^attune.execution.status", {"max-length": FULL, "overflow": "drop-head"}, "ERROR",
        (f"max-length {FULL} is reached: the oldest messages are dropped", f"({FULL} messages at risk now)"), True,
    ),
    "reject-publish": Losing(
        "^attune.execution.status", {"max-length": FULL, "overflow": "reject-publish"}, "ERROR",
        (f"max-length {FULL} is reached: new messages are refused",), True,
    ),
}  # fmt: skip


def test_policies_of_expiry_ttl_and_overflow(place: Callable[..., Place], run: Run) -> None:
    """On an installation in which two executors hold all that they may, so that messages wait."""
    p = place(SIX).populate()
    p.services["first"] = p.services["executor"]
    p.start("executor")
    p.publish("attune.executions", STATUS_KEY, HELD + FULL)
    eventually_held(p, STATUS, HELD)
    for name, losing in POLICIES.items():
        p.vhost.api("PUT", f"policies/{{vhost}}/{name}", {"pattern": losing.pattern, "definition": losing.definition})
        screen = shows(p, run, "AT215", *losing.says, "→ Remove these settings", severity=losing.severity)
        if losing.overflows:
            overflow(p, refused=losing.definition["overflow"] == "reject-publish")
        copy(screen, "AT215", p, run)
        assert p.vhost.api("GET", "policies/{vhost}").json() == []
        healthy(p, run)
        if losing.overflows:
            overflow(p, refused=False)


def overflow(p: Place, *, refused: bool) -> None:
    """Publishes one message more, which the broker confirms or refuses."""
    if not refused:
        p.publish("attune.executions", STATUS_KEY, 1)
        return
    with pytest.raises(NackError):
        p.publish("attune.executions", STATUS_KEY, 1)


def test_a_delivery_limit_of_a_quorum_queue(place: Callable[..., Place], run: Run, tmp_path: Path) -> None:
    """The topology is a file in which one queue is a quorum queue; a classic queue has no such limit."""
    shown = run("topology", "show", SIX, "--format", "toml", status=0).stdout
    classic = f'name = "{QUORUM}", arguments = {{ '
    file = tmp_path / "quorum.toml"
    file.write_text(shown.replace(SIX, "quorum", 1).replace(classic, f'{classic}x-queue-type = "quorum", '))
    p = place(str(file))
    p.more_environment["ATTUNE_OPS_TOPOLOGY"] = str(file)
    p.populate()
    assert p.vhost.api("GET", f"queues/{{vhost}}/{QUORUM}").json()["type"] == "quorum"
    for limit, severity, says in (
        (3, "WARNING", "can lose messages of {}: delivery-limit 3 drops messages that a consumer returned more often"),
        (0, "ERROR", "loses messages of {}: delivery-limit 0 drops messages that a consumer returned once"),
    ):
        p.vhost.api("PUT", "policies/{vhost}/limit", {"pattern": "^attune", "definition": {"delivery-limit": limit}})
        screen = shows(p, run, "AT215", says.format(QUORUM), "→ Remove these settings", severity=severity)
        copy(screen, "AT215", p, run)
        assert p.vhost.api("GET", "policies/{vhost}").json() == []
        healthy(p, run)
