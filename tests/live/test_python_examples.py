"""The examples in the docstrings of the Python interface, run on a real installation."""

from __future__ import annotations

import doctest
import inspect
from collections.abc import Iterator
from pathlib import Path
from types import FunctionType

import pytest

import attune_ops
from attune_ops.doctor.findings import Report, Severity
from attune_ops.doctor.health import Probes
from attune_ops.messages.facade import Messages
from attune_ops.model.display import Shown
from attune_ops.model.table import Table
from attune_ops.monitoring.history_operations import HistoryOperations
from attune_ops.ops import Ops, connect
from attune_ops.topology.policies.apply_policy import PolicyOperations
from tests.live.places import Place
from tests.world import Broker, eventually


def public(kind: type) -> dict[str, object]:
    """The public methods of a class, and the properties of `Ops` that hold methods."""
    ours = [base for base in reversed(kind.__mro__) if base.__module__.startswith("attune_ops.") and base is not Shown]
    members = {name: member for base in ours for name, member in vars(base).items() if not name.startswith("_")}
    kinds = (FunctionType, staticmethod, property) if kind is Ops else (FunctionType, staticmethod)
    return {name: member for name, member in members.items() if isinstance(member, kinds)}


EVENTS = "attune.events.queue"
EXAMPLES: dict[str, object] = {"connect": connect}
for kind in (Ops, Messages, PolicyOperations, Probes, HistoryOperations, Table, Report):
    EXAMPLES |= {f"{kind.__name__}.{name}": member for name, member in public(kind).items()}


@pytest.fixture(scope="module")
def place(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    with broker.vhost() as vhost:
        place = Place(vhost, tmp_path_factory.mktemp("place"))
        made = Ops(place.settings)
        try:
            place.populate()
            # The statistics lag behind: until they have the connections, consumers have none.
            eventually(lambda: len(made.connections()) >= 4, within=60)
            eventually(lambda: made.workers()["state"] == ("ready", "ready"), within=60)
            yield place
        finally:
            place.close()


@pytest.fixture
def ops(place: Place, name: str) -> Iterator[Ops]:
    """The installation; for the examples of messages with two messages in a queue that has no consumer."""
    if name.startswith("Messages."):
        place.publish("attune.events", "event.created", 2)
    yield Ops(place.settings)
    if name.startswith("Messages."):
        place.vhost.api("DELETE", f"queues/{{vhost}}/{EVENTS}/contents")


@pytest.mark.parametrize("name", EXAMPLES)
def test_each_method_has_an_example_that_runs(
    name: str, ops: Ops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    member = EXAMPLES[name]
    text = inspect.getdoc(member) or ""
    names = {"ops": ops, "attune_ops": attune_ops, "Severity": Severity}
    test = doctest.DocTestParser().get_doctest(text, names, name, None, None)
    assert test.examples, f"{name} has no example"
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    failed, _ = runner.run(test)
    assert failed == 0, capsys.readouterr().out
