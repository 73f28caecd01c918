"""Fixtures of the live tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.live.places import JANUARY, Place
from tests.world import Broker


@pytest.fixture
def place(broker: Broker, tmp_path: Path) -> Iterator[Callable[..., Place]]:
    """`place(topology)` makes a virtual host of its own in which the topology's services can run."""
    with ExitStack() as stack:

        def make(topology: str = JANUARY) -> Place:
            made = Place(stack.enter_context(broker.vhost()), tmp_path, topology)
            stack.callback(made.close)
            return made

        yield make
