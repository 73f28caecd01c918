"""A TCP proxy in front of a broker (both ports) or a database that turns hostile in the middle, and a measured run."""

from __future__ import annotations

import random
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from pathlib import Path
from typing import Literal, NamedTuple
from urllib.parse import urlsplit

from tests.servers import forward, server, shut
from tests.world import COMMAND, FORKED, Vhost, clean_environment, loaded

Fault = Literal["none", "silent", "cut", "drip", "delay"]
MARGIN_S = 6.0  # the process's start and its end, on a machine with a processor for it
DRIP_S = 0.3  # a byte
DELAY_S = 0.03  # a packet


class Proxy:
    """Ports in front of several servers; after `after` bytes in both directions together the fault begins.

    silent: connections are accepted and stay open, nothing is forwarded. cut: all are reset, new ones too. drip: to the
    client a byte now and then. delay: each packet is late.
    """

    def __init__(self, fault: Fault = "none", after: int = 0) -> None:
        self.bytes = 0
        self.connections = 0
        self.swallowed = 0  # bytes that came while it was silent, and connections
        self._fault, self._after = fault, after
        self._lock = threading.Lock()
        self._ports = ExitStack()
        self.over = threading.Event()

    @property
    def fault(self) -> Fault:
        """The fault that is there now."""
        return self._fault if self.bytes >= self._after else "none"

    def turn(self, fault: Fault) -> None:
        """The fault begins now."""
        self._fault, self._after = fault, 0

    def port(self, address: str) -> int:
        """A new port in front of that server (host:port)."""
        return self._ports.enter_context(server(partial(self._serve, address=address)))

    def close(self) -> None:
        """Ends it with all connections."""
        self.over.set()
        self._ports.close()

    def _serve(self, near: socket.socket, address: str) -> None:
        with self._lock:
            self.connections += 1
            self.swallowed += self.fault == "silent"
        if self.fault == "cut":
            self._reset(near)
        elif self.fault == "silent":
            self.over.wait()
        else:
            forward(near, address, self._there, self._back)

    def _there(self, source: socket.socket, sink: socket.socket) -> None:
        self._forward(source, sink, to_client=False)

    def _back(self, source: socket.socket, sink: socket.socket) -> None:
        self._forward(source, sink, to_client=True)

    def _forward(self, source: socket.socket, sink: socket.socket, to_client: bool) -> None:
        with suppress(OSError):
            while data := source.recv(16384):
                with self._lock:
                    self.bytes += len(data)
                fault = self.fault
                if fault == "silent":
                    self.swallowed += len(data)
                    self.over.wait()
                elif fault == "cut":
                    self._reset(source)
                    self._reset(sink)
                    return
                elif fault == "drip" and to_client:
                    for byte in data:
                        sink.sendall(bytes([byte]))
                        if self.over.wait(DRIP_S):
                            return
                    continue
                elif fault == "delay" and self.over.wait(DELAY_S):
                    return
                sink.sendall(data)
        shut(source)
        shut(sink)

    @staticmethod
    def _reset(one: socket.socket) -> None:
        with suppress(OSError):
            one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\x00\x00\x00\x00\x00\x00\x00")
        shut(one)


def margin() -> float:
    """The process's start and its end in s: more where the machine has more to do than it has processors."""
    return loaded(MARGIN_S)


@contextmanager
def between(
    vhost: Vhost, fault: Fault = "none", after: int = 0, database: str = ""
) -> Iterator[tuple[Proxy, dict[str, str]]]:
    """A proxy in front of both ports of the broker, and of the database; with the environment that points to it."""
    with ExitStack() as stack:
        proxy = Proxy(fault, after)
        stack.callback(proxy.close)
        environment = dict(vhost.environment)
        amqp, api = proxy.port(vhost.broker.amqp_address), proxy.port(vhost.broker.management_address)
        environment["ATTUNE_OPS_AMQP_URL"] = vhost.amqp_url.replace(vhost.broker.amqp_address, f"127.0.0.1:{amqp}")
        environment["ATTUNE_OPS_MANAGEMENT_URL"] = vhost.management_url.replace(
            vhost.broker.management_address, f"127.0.0.1:{api}"
        )
        if database:
            place = urlsplit(database)
            at = f"{place.hostname}:{place.port}"
            environment["ATTUNE_OPS_DATABASE_URL"] = database.replace(at, f"127.0.0.1:{proxy.port(at)}")
        yield proxy, environment


class Spent(NamedTuple):
    """What one run of the command was: exit status, both streams, duration in s, most memory in KiB."""

    status: int
    said: str
    seconds: float
    memory: int


def spend(folder: Path, environment: Mapping[str, str], *arguments: str, most: float = 60) -> Spent:
    """Runs the command and measures it; killed after `most` s."""
    began, env = time.monotonic(), {**clean_environment(folder), **environment}
    if FORKED.usable(COMMAND, env, None):
        done = FORKED(list(arguments), folder, env, None, most, merged=True)
        return Spent(done.returncode, done.stdout, time.monotonic() - began, done.memory)
    with tempfile.TemporaryDirectory() as aside:
        measured = Path(aside, "memory")
        where = {"PYTHONPATH": str(Path(__file__).parents[3]), "MEASURED": str(measured)}
        process = subprocess.Popen(
            [sys.executable, str(Path(__file__).with_name("measured.py")), *arguments],
            cwd=folder, env={**env, **where},
            stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
        )  # fmt: skip
        ending = threading.Timer(most, process.kill)
        ending.start()
        said = process.communicate()[0].decode()
        ending.cancel()
        spent = time.monotonic() - began
        assert measured.exists() or process.returncode < 0, said
        return Spent(process.returncode, said, spent, int(measured.read_text()) if measured.exists() else 0)


def points(total: int, count: int, seed: int) -> list[int]:
    """So many moments of a run that takes `total` bytes, spread evenly and each a little off."""
    chance = random.Random(seed)
    return [int(total * (n + chance.random()) / count) for n in range(count)]
