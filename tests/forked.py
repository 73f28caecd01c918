"""Runs `attune-ops` without the start of a Python for each call: a process that has imported it forks.

Most of the processor time of a short call is the start of Python and the imports, and the tests make thousands of
calls. So a helper process, one for each process of pytest, imports the package once, runs nothing of it, and forks for
each call. The fork gets the arguments, folder, environment, umask, stdin, stdout and stderr of the call, and is
otherwise what a new process is: the same `main`, its own `atexit` functions, its exit status or signal.

A real process stays where a test starts it itself (`Run.start`, `subprocess`), such as those that send signals or have
their input at a terminal, and where `Forked.usable` says no.
"""

from __future__ import annotations

import array
import json
import os
import resource
import selectors
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TextIO

from attune_ops.lab import server

SERVER = Path(__file__).with_name("fork_server.py")
LIMITS = (resource.RLIMIT_FSIZE, resource.RLIMIT_NOFILE, resource.RLIMIT_AS, resource.RLIMIT_CORE)
CHUNK = 1 << 16  # bytes of a read; also what a pipe holds before somebody reads it


class Done(subprocess.CompletedProcess[str]):
    """A call that has ended, and the most memory that it held, in KiB."""

    def __init__(self, args: list[str], returncode: int, stdout: str, stderr: str, memory: int) -> None:
        super().__init__(args, returncode, stdout, stderr)
        self.memory = memory


class Fork:
    """A call that runs; `memory` is the most that it held, in KiB, once it has ended."""

    def __init__(self, told: socket.socket, answers: TextIO) -> None:
        self.pid = int(answers.readline())
        self.memory = 0
        self._told, self._answers = told, answers

    def wait(self, timeout: float) -> int:
        """Waits for the end of the call and returns its exit status; raises `TimeoutError`."""
        self._told.settimeout(timeout)
        status, self.memory = map(int, self._answers.readline().split())
        return status


class Forked:
    """The helper process for `command`; the first call starts it, and it ends with this process or by `close`."""

    def __init__(self, command: Path) -> None:
        self.command = command
        self._limits = _limits()
        self._calls: socket.socket | None = None
        self._process: subprocess.Popen[bytes] | None = None
        self._starting = threading.Lock()
        self._started: dict[str, str] = {}

    def usable(self, command: Path, env: Mapping[str, str], stdin: str | None) -> bool:
        """Whether a fork for this call is what a new process would be.

        It is not with another command, nor with variables that Python or a library reads when it is started or
        imported, nor under limits that a test has set. Where coverage is measured each process is to be seen.
        """
        if command != self.command or not hasattr(os, "pidfd_open") or "COVERAGE_FILE" in os.environ:
            return False
        if self._calls is not None and _at_start(env) != self._started:
            return False
        return self._limits == _limits() and len((stdin or "").encode()) < CHUNK

    def __call__(
        self,
        arguments: list[str],
        folder: Path,
        env: Mapping[str, str],
        stdin: str | None,
        timeout: float,
        *,
        merged: bool = False,
    ) -> Done:
        """What `subprocess.run` returns for these arguments, or its `TimeoutExpired`; only where it is `usable`.

        `merged` has stderr in stdout, as `stderr=STDOUT`.
        """
        deadline = time.monotonic() + timeout
        with ExitStack() as ours:
            with ExitStack() as theirs:
                descriptors = list[int]()
                if stdin is None:
                    descriptors.append(os.open(os.devnull, os.O_RDONLY))
                else:
                    read, write = os.pipe()
                    descriptors.append(read)
                    with os.fdopen(write, "wb") as given:
                        given.write(stdin.encode())
                theirs.callback(os.close, descriptors[0])
                streams = list[int]()
                for _ in range(1 if merged else 2):
                    read, write = os.pipe()
                    ours.callback(os.close, read)
                    theirs.callback(os.close, write)
                    streams.append(read)
                    descriptors.append(write)
                fork = ours.enter_context(self.begun(arguments, folder, env, (*descriptors, descriptors[-1])[:3]))
            try:
                texts = _read(streams, deadline)
                status = fork.wait(max(0.1, deadline - time.monotonic()))
            except TimeoutError:
                os.kill(fork.pid, signal.SIGKILL)
                raise subprocess.TimeoutExpired([str(self.command), *arguments], timeout) from None
        out, err = (*texts, "")[:2]
        return Done([str(self.command), *arguments], status, out, err, fork.memory)

    @contextmanager
    def begun(
        self, arguments: list[str], folder: Path, env: Mapping[str, str], streams: Sequence[int]
    ) -> Iterator[Fork]:
        """Begins a call with these descriptors as stdin, stdout and stderr; the caller may close them then."""
        words = [str(self.command), *arguments]
        call = {"words": words, "folder": str(folder), "env": dict(env), "umask": _umask()}
        told, end = socket.socketpair()
        with told, told.makefile("r") as answers:
            with end, os.fdopen(os.memfd_create("call"), "wb", 0) as request:
                request.write(json.dumps(call).encode())
                self._send([*streams, end.fileno(), request.fileno()], env)
            yield Fork(told, answers)

    def _send(self, descriptors: list[int], env: Mapping[str, str]) -> None:
        with self._starting:  # several threads may call
            if self._calls is None:
                self._start(env)
        assert self._calls is not None
        them = array.array("i", descriptors)
        self._calls.sendmsg([b"."], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, them)])

    def _start(self, env: Mapping[str, str]) -> None:
        self._started = _at_start(env)
        calls, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        self._process = subprocess.Popen(
            [sys.executable, SERVER, str(theirs.fileno()), self.command.parent, os.pathsep.join(server.FOLDERS)],
            pass_fds=[theirs.fileno()], env=env, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        )  # fmt: skip
        theirs.close()
        self._calls = calls

    def close(self) -> None:
        """Ends the helper process."""
        if self._calls is not None and self._process is not None:
            self._calls.close()
            self._process.wait(60)
        self._calls = self._process = None


def _limits() -> list[tuple[int, int]]:
    return [resource.getrlimit(limit) for limit in LIMITS]


def _at_start(env: Mapping[str, str]) -> dict[str, str]:
    """The variables that Python or a library reads when it is started or imported, so before a fork."""
    names = ("PYTHON", "LC_", "LANG", "LD_", "OPENSSL", "SSL", "MALLOC_", "TZ")
    return {name: value for name, value in env.items() if name.startswith(names)}


def _umask() -> int:
    """The umask of this process; `os.umask` has to set it, which another thread would notice."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return int(next(line.split()[1] for line in lines if line.startswith("Umask:")), 8)


def _read(streams: list[int], deadline: float) -> list[str]:
    """The texts of the streams, read to their ends; raises `TimeoutError`."""
    got = {stream: bytearray() for stream in streams}
    with selectors.DefaultSelector() as open_ones:
        for stream in streams:
            open_ones.register(stream, selectors.EVENT_READ)
        while open_ones.get_map():
            ready = open_ones.select(max(0.0, deadline - time.monotonic()))
            if not ready and time.monotonic() >= deadline:
                raise TimeoutError
            for key, _ in ready:
                more = os.read(key.fd, CHUNK)
                got[key.fd] += more
                if not more:
                    open_ones.unregister(key.fd)
    return [got[stream].decode().replace("\r\n", "\n").replace("\r", "\n") for stream in streams]
