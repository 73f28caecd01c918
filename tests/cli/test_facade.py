"""Python interface and command line are twins: each method of `Ops` has its command, and the other way round."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from functools import cached_property

import pytest

from attune_ops.doctor.health import Probes
from attune_ops.messages.facade import Messages
from attune_ops.monitoring.history_operations import HistoryOperations
from attune_ops.ops import Ops
from attune_ops.topology.policies.apply_policy import PolicyOperations
from tests.cli.commands import ALL

DOORS = {
    "": Ops, "messages": Messages, "policies": PolicyOperations, "health": Probes, "history": HistoryOperations,
}  # fmt: skip

# The command of each method; an option where the command has several methods.
TWINS = {
    "explain": "explain",
    "startup": "startup",
    "queues": "queues",
    "bindings": "bindings",
    "exchanges": "exchanges",
    "consumers": "consumers",
    "workers": "workers",
    "connections": "connections list",
    "close_connection": "connections close",
    "orphans": "orphans",
    "doctor": "doctor",
    "route": "route",
    "dead_letter": "route --dead-letter",
    "canary": "route --canary",
    "topology_diff": "topology diff",
    "topology_apply": "topology apply",
    "topology_graph": "topology graph",
    "topology_export": "topology export",
    "bind": "topology bind",
    "unbind": "topology unbind",
    "snapshot": "snapshot save",
    "changes": "snapshot diff",
    "drill": "drill run",
    "reap": "reap",
    "retire": "retire",
    "history record": "history record",
    "history show": "history show",
    "history compare": "history compare",
    "history story": "history story",
    "history prune": "history prune",
    "report": "report",
    "messages peek": "messages peek",
    "messages tap": "messages tap",
    "messages drain": "messages drain",
    "messages restore": "messages restore",
    "messages move": "messages move",
    "policies show": "policy show",
    "policies apply": "policy apply",
    "policies remove": "policy remove",
    "health worker": "health worker",
    "health broker": "health broker",
    "health route": "health route",
}

PYTHON_ONLY = {
    "facts": "plain values for code of one's own; `snapshot save` writes them to a file",
    "router": "an object for many questions; `route --batch` is its command",
    "dashboard": "widgets exist in a notebook only",
    "close": "a command closes what it opened",
}

COMMAND_ONLY = {
    "completion": "a script for a shell",
    "help": "`help()` is Python's",
    "docs": "needs no installation; `help()` is Python's",
    "version": "`attune_ops.__version__`",
    "config show": "`Ops.settings` has the values",
    "config init": "writes a file before there is an installation",
    "config list": "needs no installation",
    "config use": "writes a file before there is an installation",
    "config path": "needs no installation",
    "config schema": "needs no installation; for an editor",
    "topology check": "needs no installation; for files under version control",
    "config check": "checks all environments; `connect` chooses one",
    "drill list": "needs no installation",
    "drill report": "needs no installation",
    "drill recover": "cleans up after a process that was killed",
    "lab up": "needs no installation; `attune_ops.lab` is its interface",
    "lab down": "needs no installation; `attune_ops.lab` is its interface",
    "lab status": "needs no installation; `attune_ops.lab` is its interface",
    "lab run": "a demonstration at a terminal",
    "notebook list": "needs no installation",
    "notebook open": "starts JupyterLab",
    "notebook run": "runs a notebook from outside",
    "snapshot show": "needs no installation; `load_facts` reads the file",
    "monitoring rules": "a file for Prometheus",
    "monitoring grafana": "a file for Grafana",
    "serve": "a process that runs until it is stopped",
    "watch": "a display at a terminal",
    "topology list": "needs no installation",
    "topology show": "`Ops.settings.topology` shows itself",
}


def methods() -> Iterator[str]:
    """Each public method, with the name of its door in front."""
    for door, kind in DOORS.items():
        for name, member in inspect.getmembers(kind):
            if not name.startswith("_") and callable(member):
                yield f"{door} {name}".strip()


def test_every_method_has_its_command_or_a_reason() -> None:
    assert sorted(methods()) == sorted({**TWINS, **PYTHON_ONLY})


def test_every_command_has_its_method_or_a_reason() -> None:
    assert sorted(ALL) == sorted({c.partition(" --")[0] for c in TWINS.values()} | set(COMMAND_ONLY))


def test_every_property_is_a_door() -> None:
    members = inspect.getmembers(Ops, lambda m: isinstance(m, (property, cached_property)))
    assert {name for name, _ in members} == set(DOORS) - {""}


@pytest.mark.parametrize(("method", "command"), sorted(TWINS.items()))
def test_what_changes_something_does_so_only_with_apply_in_both(method: str, command: str) -> None:
    door, _, name = method.rpartition(" ")
    parameters = inspect.signature(getattr(DOORS[door], name)).parameters
    name, dashes, option = command.partition(" --")
    options = {o for p in ALL[name].params for o in (*p.opts, *p.secondary_opts)}
    if method == "startup":  # --apply is for --hold, which only the command has
        options -= {"--apply"} if "--hold" in options else set()
    assert ("apply" in parameters) == ("--apply" in options)
    assert not dashes or f"--{option}" in options
