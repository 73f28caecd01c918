from __future__ import annotations

import socket

import pytest

from attune_ops.lab import node as ports
from attune_ops.lab.node import make
from attune_ops.model.errors import ActionError


def test_the_same_lab_gets_the_same_block_until_a_port_of_it_is_taken() -> None:
    block = ports.free_block("a lab")
    assert ports.free_block("a lab") == block
    with socket.create_server(("127.0.0.1", block[7])):
        assert not ports.is_free(block[7])
        assert ports.answers(block[7])
        other = ports.free_block("a lab")
    assert not set(other) & set(block)
    assert not ports.answers(block[7])


def test_no_block_holds_a_standard_port() -> None:
    seeds = {ports.free_block(str(i)) for i in range(50)}
    assert not any(port in block for block in seeds for port in ports.STANDARD)


def test_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ports, "is_free", lambda port: False)
    with pytest.raises(ActionError, match="free loopback ports"):
        ports.free_block("a lab")


def test_the_most_nodes_fit_into_a_block(tmp_path: object) -> None:
    from pathlib import Path

    block = range(20000, 20000 + ports.BLOCK)
    nodes = [make(Path("/lab"), i, block) for i in range(1, ports.MOST_NODES + 1)]
    used = [p for n in nodes for p in (n.amqp_port, n.management_port, n.prometheus_port, n.distribution_port)]
    assert len(set(used)) == len(used)
    assert block[0] not in used  # that is epmd's
