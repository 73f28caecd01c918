"""A name server that never answers: the deadline of the command applies to it too."""

from __future__ import annotations

import os
import secrets
import shlex
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.conftest import lacking
from tests.live.attack.proxy import margin
from tests.world import clean_environment

TIMEOUT_S = 2
ENVIRONMENT = {
    "ATTUNE_OPS_AMQP_URL": "amqp://u:Sekrit42x@broker.example/",
    "ATTUNE_OPS_MANAGEMENT_URL": "http://u:Sekrit42x@api.example:15672",
    "ATTUNE_OPS_TOPOLOGY": "attune-2026-09",
}
NAMES = {"messages peek q": "broker.example", "queues": "api.example", "health broker": "broker.example"}


@pytest.fixture
def unanswered(tmp_path: Path) -> Iterator[tuple[Callable[..., list[str]], socket.socket]]:
    """The command with only that name server, in a mount namespace of its own, and the server's socket."""
    probe = subprocess.run(["unshare", "-m", "true"], capture_output=True) if shutil.which("unshare") else None
    if probe is None or probe.returncode:
        lacking("no mount namespace: it needs root and unshare")
    resolv, address = tmp_path / "resolv.conf", f"127.{secrets.randbelow(255)}.{secrets.randbelow(255)}.53"
    resolv.write_text(f"nameserver {address}\noptions timeout:30 attempts:5\n")
    mount = f"mount --bind {shlex.quote(str(resolv))} {shlex.quote(os.path.realpath('/etc/resolv.conf'))}"

    def command(*words: str) -> list[str]:
        started = shlex.join([sys.executable, "-m", "attune_ops", *words])
        return ["unshare", "-m", "sh", "-c", f"{mount} && exec {started}"]

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as server:
        server.bind((address, 53))
        server.setblocking(False)
        yield command, server


@pytest.mark.parametrize("line", [*NAMES, "workers", "doctor"])
def test_each_command_ends_in_time(
    line: str, unanswered: tuple[Callable[..., list[str]], socket.socket], tmp_path: Path
) -> None:
    command, server = unanswered
    where = ENVIRONMENT | {"ATTUNE_OPS_DATABASE_URL": "postgresql://u:Sekrit42x@db.example/attune"}
    if line == "workers":  # only the registry has a name
        where |= {"ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:1", "ATTUNE_OPS_AMQP_URL": "amqp://127.0.0.1:1"}
    began = time.monotonic()
    done = subprocess.run(
        command(*line.split(), "--timeout", f"{TIMEOUT_S}s"),
        cwd=tmp_path, env=clean_environment(tmp_path) | where, capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    took = time.monotonic() - began
    assert server.recv(512), "it was not asked"
    assert done.returncode == 3, done
    assert took < TIMEOUT_S + 2 + margin(), done
    assert "Sekrit42x" not in done.stdout + done.stderr
    if line == "doctor":
        assert "no name server answers" in " ".join(done.stdout.split())
    else:
        assert "no name server answers" in done.stderr, done
        assert len(done.stderr.splitlines()) == 1, done
