"""Fixtures of the live tests."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attune_ops.installation.http import Answer
from attune_ops.installation.pooled_http import PooledHttp
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


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """The paths of the requests to the management API from here on."""
    paths = list[str]()
    request = PooledHttp.request

    def counted(self: PooledHttp, method: str, path: str, *more: Any, **options: Any) -> Answer:
        paths.append(path)
        return request(self, method, path, *more, **options)

    monkeypatch.setattr(PooledHttp, "request", counted)
    return paths
