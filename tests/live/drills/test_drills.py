"""Drills on the real broker: each holds, accounts for every message and leaves nothing behind."""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import msgspec
import platformdirs
import pytest

from attune_ops.drills.catalog import Drill, all_drills
from attune_ops.drills.journal import Journal, JournalComparison
from attune_ops.drills.ledger import FORGOTTEN, WITH_WORKER
from attune_ops.drills.runner import run
from attune_ops.drills.undo import UndoEntry, UndoList, records
from attune_ops.installation.config import Settings, resolve
from attune_ops.installation.config.running_lab import Process
from attune_ops.model.errors import DrillRefused
from tests.world import Broker

SHORT = ("incident", "leaked-queue", "worker-crash", "worker-stop")
RUNS = int(os.environ.get("ATTUNE_OPS_TEST_DRILLS", "0"))  # how often every drill runs; 0: the short set, once
SERVER = os.environ.get("ATTUNE_OPS_TEST_SERVER")
# A newer one than the distribution's, by default where `scripts/rabbitmq install 4.3` puts it.
NEWER = SERVER or os.environ.get("ATTUNE_OPS_TEST_NEWER", "/opt/attune-ops/rabbitmq-4.3")


@pytest.fixture
def settings(broker: Broker) -> Settings:
    """The broker as an environment that allows drills."""
    target = {"amqp_url": broker.amqp_url, "management_url": broker.management_url}
    return msgspec.structs.replace(resolve(target, {}), env="test", drills=True)


@pytest.fixture(autouse=True)
def nothing_is_left(broker: Broker, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Remembers what the drills of a test make, and looks for it when they have ended."""
    made: list[UndoEntry] = []
    add = UndoList.add

    def told(self: UndoList, kind: str, name: str, started: str = "") -> UndoEntry:
        made.append(add(self, kind, name, started))
        return made[-1]

    monkeypatch.setattr(UndoList, "add", told)
    yield
    assert not [r for _, r in records() if [e for e in r.undo if e in made]], "an undo list is not done"
    assert not [e for e in made if e.kind == "process" and Process(int(e.name), e.started).alive]
    names = {Path(e.name).name for e in made if e.kind != "process"}
    there = broker.vhosts | {found["name"] for found in broker.api("GET", "users").json()}
    for folder in (Path(tempfile.gettempdir()), platformdirs.user_state_path("attune-ops") / "lab"):
        there |= {path.stem for path in folder.glob("*")}  # with a broker of somebody else there is no lab
    assert not names & there
    assert not [line for line in command_lines() if any(name in line for name in names)]


def command_lines() -> Iterator[str]:
    """What runs on this machine."""
    for file in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            yield file.read_text(errors="replace")


def drilled(drill: Drill | str, settings: Settings, **parameters: Any) -> Journal:
    """One run."""
    made = run(drill, settings, confirm="test", **{"server": SERVER, "rate": 60, **parameters})
    assert isinstance(made, Journal)
    return made


def chosen() -> list[Any]:
    """One of them in the quick subset."""
    names = all_drills() if RUNS else SHORT
    return [pytest.param(n, marks=pytest.mark.slow) if n != SHORT[0] else n for n in names]


@pytest.mark.parametrize("nth", range(max(RUNS, 1)))
@pytest.mark.parametrize("name", chosen())
def test_it_holds_and_accounts_for_every_message(name: str, nth: int, settings: Settings) -> None:
    newer = all_drills()[name].since is not None
    if newer and not Path(NEWER).exists():
        with pytest.raises(DrillRefused, match=r"or newer, and this is .* --server"):
            drilled(name, settings)
        return
    journal = drilled(name, settings, **({"server": NEWER} if newer else {}))
    assert journal.verdict == "held", journal
    assert journal.ledger.adds_up


@pytest.mark.slow
@pytest.mark.parametrize(("registry", "name"), [("sqlite", "SQLite file"), ("postgresql", "PostgreSQL")])
def test_the_database_goes_away(registry: str, name: str, settings: Settings) -> None:
    journal = drilled("database-down", settings, registry=registry)
    assert journal.verdict == "held", journal
    assert f"the doctor reports the drill's {name} (AT103)" in [e.title for e in journal.expectations]


@pytest.mark.slow
def test_a_broken_consumer_is_a_violation(settings: Settings) -> None:
    """A worker that acknowledges and forgets: the broker is content, the ledger is not."""
    drill = all_drills()["incident"]
    broken = msgspec.structs.replace(drill, worker={**drill.worker, "outcome": "lose", "only": (3, 5)})
    journal = drilled(broken, settings)
    assert journal.verdict == "violated"
    assert [loss.numbers for loss in journal.ledger.losses] == [(3, 5)]
    assert "lost" in journal.reason


@pytest.mark.slow
@pytest.mark.parametrize("topology", ["attune-2026-09", "attune-0.6"])
def test_a_crash_loses_what_was_acknowledged_at_dispatch(topology: str, settings: Settings) -> None:
    """The durable queue keeps the backlog; the one message that the worker was handling is lost, as predicted."""
    journal = drilled("worker-crash", settings, topology=topology)
    assert journal.verdict == "held", journal
    assert [(loss.reason, len(loss.numbers)) for loss in journal.ledger.losses] in ([(WITH_WORKER, 1)], [])
    assert journal.ledger.classes["duplicated"] == 0


@pytest.mark.slow
def test_a_crash_of_january_s_worker_loses_nothing_of_a_durable_queue(settings: Settings) -> None:
    """It acknowledges after handling: what it was handling is delivered again."""
    made = run("worker-crash", settings, confirm="test", remedy="durable", rate=60)
    assert isinstance(made, JournalComparison)
    assert made.second.verdict == "held"
    assert (made.second.ledger.lost, made.second.ledger.redelivered > 0) == (0, True)


@pytest.mark.slow
def test_a_worker_that_forgets_what_it_acknowledged_is_a_violation(settings: Settings) -> None:
    drill = all_drills()["worker-crash"]
    broken = msgspec.structs.replace(drill, worker={**drill.worker, "outcome": "lose", "only": (3,)})
    journal = drilled(broken, settings, topology="attune-0.6")
    assert journal.verdict == "violated"
    assert FORGOTTEN in [loss.reason for loss in journal.ledger.losses]


def test_an_environment_has_to_allow_it_and_be_named(settings: Settings) -> None:
    for wrong, confirm in (
        (settings, None),
        (settings, "tset"),
        (msgspec.structs.replace(settings, drills=False), "test"),
        (msgspec.structs.replace(settings, env=None), None),
    ):
        with pytest.raises(DrillRefused):
            run("worker-crash", wrong, confirm=confirm)


@pytest.mark.slow
def test_a_remedy_keeps_what_was_lost(settings: Settings) -> None:
    made = run("worker-stop", settings, confirm="test", remedy="durable", rate=60)
    assert isinstance(made, JournalComparison)
    assert made.first.ledger.lost > 0
    assert made.second.ledger.lost == 0
    assert made.second.verdict == "held"
