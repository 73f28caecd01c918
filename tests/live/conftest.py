"""Fixtures of the live tests."""

from __future__ import annotations

import os
import shlex
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from attune_ops.installation.config.running_lab import RunningLab
from attune_ops.installation.http import Answer
from attune_ops.installation.pooled_http import PooledHttp
from attune_ops.lab.folder import names
from tests.conftest import LAB, lacking
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
def rabbitmqctl(broker: Broker, tmp_path: Path) -> str:
    """A search path whose `rabbitmqctl` is that of the suite's own broker, as on the broker's host."""
    from attune_ops import lab

    if broker.amqp_url != getattr(lab.up(LAB).state if LAB in names() else None, "amqp_url", None):
        lacking("rabbitmqctl needs the suite's own broker")
    return path_with_rabbitmqctl(lab.up(LAB).state, tmp_path)


def path_with_rabbitmqctl(state: RunningLab, folder: Path) -> str:
    """A search path whose `rabbitmqctl`, a script in `folder`, is that of a lab's broker."""
    from attune_ops.lab import node, server

    environment = "".join(f"export {k}={shlex.quote(v)}\n" for k, v in node.environment(state).items())
    script = folder / "bin" / "rabbitmqctl"
    script.parent.mkdir()
    script.write_text(f'#!/bin/sh\n{environment}exec {server.find(state.server).ctl} -q -n {state.node.name} "$@"\n')
    script.chmod(0o755)
    return f"{script.parent}:{os.environ['PATH']}"


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
