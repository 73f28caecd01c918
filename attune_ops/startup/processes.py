"""Stand-in services as processes: started, followed by their log, stopped."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any, Self

import msgspec

from attune_ops.installation.config.settings import Settings
from attune_ops.messages.interrupts import held
from attune_ops.model.errors import ActionError
from attune_ops.model.waiting import wait_until
from attune_ops.startup.standins.job import Behaviour, Job

POLL_S = 0.02


class RunningService:
    """A stand-in process and its log. As a context manager it is stopped at the end, whatever happens."""

    def __init__(self, process: subprocess.Popen[bytes], service: str, name: str, log: Path) -> None:
        self.service, self.name, self.log = service, name, log
        self._process = process
        self._events: list[dict[str, Any]] = []
        self._read = 0

    @property
    def pid(self) -> int:
        """The process id."""
        return self._process.pid

    @property
    def status(self) -> int | None:
        """The exit status (negative: the signal that ended it), or None while it runs."""
        return self._process.poll()

    @property
    def worker_id(self) -> int | None:
        """The id of a worker that is ready."""
        ready = [e for e in self.events() if e["event"] == "ready"]
        return ready[-1]["worker"] if ready else None

    def events(self) -> list[dict[str, Any]]:
        """All events that it has logged so far; `attune_ops.startup.standins.job` describes them."""
        data = self.log.read_bytes()[self._read :] if self.log.exists() else b""
        whole = data[: data.rfind(b"\n") + 1]
        self._read += len(whole)
        self._events += [msgspec.json.decode(line) for line in whole.splitlines()]
        return list(self._events)

    def wait_for(self, event: str, timeout: float = 15.0, after: int = 0) -> dict[str, Any]:
        """Waits `timeout` s for an event, without the first `after` events; raises `ActionError` where none comes."""

        def read() -> tuple[bool, dict[str, Any] | None]:
            exited = self.status is not None  # read before the log, so that its last lines count
            return exited, next((e for e in self.events()[after:] if e["event"] == event), None)

        exited, found = wait_until(read, any, timeout=timeout, interval=POLL_S)
        if found is None:
            raise ActionError(f"{self.service} {self.name}: no {event!r} {self._why(exited, timeout)}")
        return found

    def stop(self, timeout: float = 10.0) -> int:
        """Stops it cleanly (SIGTERM), or kills it after `timeout` s; returns its exit status."""
        if self.status is None:
            self._signal(signal.SIGCONT, signal.SIGTERM)
        try:
            return self._ended(timeout)
        except subprocess.TimeoutExpired:
            return self.kill()

    def kill(self) -> int:
        """Kills it (SIGKILL), as a crash does: nothing is cleaned up."""
        if self.status is None:
            self._signal(signal.SIGKILL)
        return self._ended(None)

    def suspend(self) -> None:
        """Suspends it (SIGSTOP), as a hang does. Undo: `resume`."""
        self._signal(signal.SIGSTOP)

    def resume(self) -> None:
        """Resumes it (SIGCONT)."""
        self._signal(signal.SIGCONT)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.stop()

    def _signal(self, *numbers: int) -> None:
        for number in numbers:
            self._process.send_signal(number)

    def _ended(self, timeout: float | None) -> int:
        status = self._process.wait(timeout)
        if self._process.stdin is not None:
            self._process.stdin.close()
        return status

    def _why(self, exited: bool, timeout: float) -> str:
        failed = [e for e in self._events if e["event"] == "step" and e["status"] == "failed"]
        reason = f": {failed[-1]['step']} failed: {failed[-1]['detail']}" if failed else ""
        return (f"before it exited with status {self.status}" if exited else f"within {timeout:g} s") + reason


def start_service(
    settings: Settings,
    service: str,
    name: str,
    log: Path,
    behaviour: Behaviour | None = None,
    *,
    note: Callable[[RunningService], object] | None = None,
) -> RunningService:
    """Starts a stand-in process, which runs its start-up sequence and then behaves as given; `log` is its file.

    It connects, declares, registers and consumes as the service does. Undo: `RunningService.stop`. It also stops when
    this process ends, unless its behaviour is `detached`. `note` is called with it before an interrupt is raised: one
    between the start and the caller's note would leave the process behind.
    """
    behaviour = behaviour or Behaviour()
    with held():
        with log.with_suffix(".stderr").open("ab") as errors:  # unexpected errors, beside its log
            process = subprocess.Popen(
                [sys.executable, "-m", "attune_ops.startup.standins", service],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=errors,
                start_new_session=True,  # Ctrl-C is for the process that started it
                env={name: value for name, value in os.environ.items() if not name.startswith("ATTUNE_")},
            )
        started = RunningService(process, service, name, log)
        if note is not None:
            note(started)
        assert process.stdin is not None
        process.stdin.write(Job(service, name, str(log), behaviour, settings).encode() + b"\n")
        process.stdin.flush()
    return started


def stop_all(services: Iterable[RunningService], timeout: float = 10.0) -> None:
    """Stops several in parallel, each cleanly where that takes at most `timeout` s."""
    services = tuple(services)
    for service in services:
        if service.status is None:
            service.resume()
            service._signal(signal.SIGTERM)
    for service in services:  # also those that have ended by themselves: their pipe is still open
        service.stop(timeout)
