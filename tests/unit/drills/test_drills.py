"""Every drill says what it tests, and the page about them is that of the journals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import msgspec
import pytest

from attune_ops.cli.drill import run
from attune_ops.drills.catalog import all_drills
from attune_ops.drills.expectations import Expectations
from attune_ops.drills.journal import Expected, Journal, Ledger, decode
from attune_ops.drills.ledger import FORGOTTEN, Attempt, ConsumerEvent, account, ledger_expectations, verdict_of
from attune_ops.drills.parameters import read_parameters
from attune_ops.drills.remedies import all_remedies
from attune_ops.drills.target import rehearsal
from attune_ops.model.errors import ConfigError
from attune_ops.model.topologies import load, names
from attune_ops.render import form, formats
from attune_ops.topology.export import export_topology

ROOT = Path(__file__).parents[3]
JOURNALS = sorted((ROOT / "docs" / "journals").glob("*.json"))


@pytest.mark.parametrize("name", all_drills())
def test_a_drill_says_what_it_tests(name: str) -> None:
    drill = all_drills()[name]
    assert drill.hypothesis.endswith(".")
    assert drill.promise.endswith(".")
    assert drill.source.startswith("https://www.rabbitmq.com/docs/")
    assert drill.explanation


@pytest.mark.parametrize("remedy", all_remedies())
def test_a_mitigation_changes_something(remedy: str) -> None:
    mitigation = all_remedies()[remedy]
    assert mitigation.policies or mitigation.behaviour or any(mitigation.topology(t) != t for t in map(load, names()))


def test_the_help_names_every_mitigation() -> None:
    help_ = run.help or ""
    assert [name for name in all_remedies() if name not in help_] == []


@pytest.mark.parametrize("path", JOURNALS, ids=lambda p: p.stem)
def test_a_journal_is_readable_alone_and_has_every_form(path: Path) -> None:
    made = decode(path.read_bytes())
    for each in [made] if isinstance(made, Journal) else [made.first, made.second, made]:
        for name in formats(each):
            assert form(each, name)
    last = made if isinstance(made, Journal) else made.second
    assert last.verdict == "held"
    assert last.ledger.adds_up
    assert decode(msgspec.json.encode(last)) == last


def test_the_page_is_that_of_the_journals(tmp_path: Path) -> None:
    subprocess.run([sys.executable, ROOT / "scripts" / "failover", tmp_path], check=True)
    for made in ["failover.md", *(f"failover/{p.name}" for p in (ROOT / "docs" / "failover").glob("*.svg"))]:
        assert (ROOT / "docs" / made).read_text() == (tmp_path / made).read_text(), "out of date: run scripts/failover"


def test_the_ledger_judges_beside_the_drill() -> None:
    fine = account([Attempt(1, "confirmed", "q")], [ConsumerEvent(1, e, "q") for e in ("handled", "acked")], [], {})
    forgot = account([Attempt(1, "confirmed", "q")], [ConsumerEvent(1, "acked", "q")], [], {})
    vanished = account([Attempt(1, "confirmed", "q")], [], [], {})
    assert verdict_of(list(ledger_expectations(fine, ())), fine, "")[0] == "held"
    assert forgot.losses[0].reason == FORGOTTEN
    assert verdict_of(list(ledger_expectations(forgot, ("lost",))), forgot, "")[0] == "violated"
    assert verdict_of(list(ledger_expectations(vanished, ())), vanished, "") == (
        "inconclusive", "1 of 1 messages are not accounted for",
    )  # fmt: skip
    lost = account([Attempt(1, "confirmed", "q")], [], [], {"q": "gone"})
    assert verdict_of(list(ledger_expectations(lost, ("lost",), ("lost",))), lost, "")[0] == "held"
    assert verdict_of(list(ledger_expectations(fine, ("lost",), ("lost",))), fine, "") == (
        "violated", "not met: some messages are lost (0 of 1)",
    ), "where none is lost, that some are lost was not tested"  # fmt: skip
    late = Expected("it comes", False, 1000, None)
    assert verdict_of([late], fine, "")[0] == "violated"
    assert verdict_of([late], Ledger(), "the broker is gone")[0] == "inconclusive"


@pytest.mark.parametrize("name", names())
@pytest.mark.parametrize("workers", [(), (7,)])
def test_a_rehearsal_has_the_topology_of_the_file_and_workers(
    name: str, workers: tuple[int, ...], tmp_path: Path
) -> None:
    wanted = load(name)
    (tmp_path / "definitions.json").write_text(export_topology(wanted, "definitions", workers))
    made, _ = rehearsal(str(tmp_path / "definitions.json"), wanted)
    assert made.worker_queues(7) == wanted.worker_queues(7)
    assert set(map(repr, made.worker_bindings(7))) == set(map(repr, wanted.worker_bindings(7)))
    assert {c.tag for c in made.worker_consumers(7)} == {c.tag for c in wanted.worker_consumers(7)}
    assert {q.name for q in made.base_queues} == {q.name for q in wanted.base_queues}


def test_parameters_are_checked() -> None:
    assert read_parameters({"rate": "50", "duration": 2}).count == 100
    for wrong in ({"speed": 1}, {"rate": "fast"}, {"workers": 0}, {"rate": -1}):
        with pytest.raises(ConfigError):
            read_parameters(wrong)


@pytest.mark.parametrize(("rate", "count", "within"), [(100.0, 100, 31.0), (5.0, 250, 80.0)])
def test_a_load_has_as_long_as_it_takes(rate: float, count: int, within: float) -> None:
    """A load of 50 s is not late after 30 s."""
    expect = Expectations(None, None, rate)  # type: ignore[arg-type]
    assert expect.sent(None, count).within == within  # type: ignore[arg-type]
