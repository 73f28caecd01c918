"""A network namespace whose loopback drops packets, for a client that reaches a server of the host from it."""

from __future__ import annotations

import ctypes
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial

import pytest

from tests.servers import forward, server

NEW_NETWORK = 0x40000000  # CLONE_NEWNET


class Namespace:
    """The namespace; `command` is put in front of what shall run in it."""

    def __init__(self, name: str, stack: ExitStack) -> None:
        self._name, self._stack = name, stack
        self.command = ("ip", "netns", "exec", name)

    def port(self, address: str) -> int:
        """A port of the namespace's loopback that leads to a server of the host (host:port)."""
        home, inside = self._opened("/proc/thread-self/ns/net"), self._opened(f"/run/netns/{self._name}")

        def talk(near: socket.socket) -> None:
            _enter(home)  # this thread began in the namespace
            forward(near, address)

        _enter(inside)
        try:
            return self._stack.enter_context(server(talk))
        finally:
            _enter(home)

    def _opened(self, path: str) -> int:
        descriptor = os.open(path, os.O_RDONLY)
        self._stack.callback(os.close, descriptor)
        return descriptor

    @property
    def dropped(self) -> int:
        """The number of packets that were dropped so far."""
        rule = _root(*self.command, "iptables", "-L", "INPUT", "-v", "-x", "-n").splitlines()[-1]
        return int(rule.split()[0])


@contextmanager
def losing(probability: float) -> Iterator[Namespace]:
    """The loopback of the namespace drops each packet with that probability; skips where none can be made."""
    name = f"attune-ops-{secrets.token_hex(4)}"
    _root("ip", "netns", "add", name)
    with ExitStack() as stack:
        stack.callback(partial(_root, "ip", "netns", "del", name))
        made = Namespace(name, stack)
        _root("ip", "-n", name, "link", "set", "lo", "up")
        chance = ("-m", "statistic", "--mode", "random", "--probability", str(probability))
        _root(*made.command, "iptables", "-A", "INPUT", *chance, "-j", "DROP")
        yield made


def _root(*command: str) -> str:
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True, timeout=60).stdout
    except FileNotFoundError:
        pytest.skip(f"no packet is lost without the command {command[0]}")
    except subprocess.CalledProcessError as e:
        pytest.skip(f"no packet is lost here: `{' '.join(command)}`: {e.stderr.strip()}")


def _enter(namespace: int) -> None:
    """Puts the calling thread, and those that it starts, into a network namespace."""
    if ctypes.CDLL(None, use_errno=True).setns(namespace, NEW_NETWORK):
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
