"""The connection that is closed: by the broker's name, or all by the name that their clients gave."""

from __future__ import annotations

import pytest

from attune_ops.cleanup.close_connection import chosen
from attune_ops.model.errors import ActionError
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import ConnectionState
from tests.unit.facts import facts


def installation() -> Facts:
    """Two clients of one name; a third whose own name is the broker's name of the first."""
    made = [("c1", "executor"), ("c2", "executor"), ("c3", "c1"), ("c4", None)]
    return facts(connections=tuple(ConnectionState(n, "/", client_name=c) for n, c in made))


@pytest.mark.parametrize(("name", "closed"), [("c1", ["c1"]), ("executor", ["c1", "c2"]), ("c4", ["c4"])])
def test_the_brokers_name_comes_first(name: str, closed: list[str]) -> None:
    assert sorted(map(str, chosen(installation(), name).column("name"))) == closed


@pytest.mark.parametrize("name", ["", "c", "Executor", "None"])
def test_no_other_connection_is_closed(name: str) -> None:
    with pytest.raises(ActionError, match=r"no connection .* in virtual host '/'"):
        chosen(installation(), name)
