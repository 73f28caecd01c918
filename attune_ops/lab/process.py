"""Processes of the lab: recorded before they run, waited for, and ended by id and start time."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attune_ops.installation.config.running_lab import Process, start_time
from attune_ops.model.errors import ActionError
from attune_ops.model.waiting import wait_until

# The shell waits for a line before it becomes the program. Where the parent died before it recorded the process, the
# pipe ends and the program never runs.
_BARRIER = 'read -r go && exec "$@" </dev/null'


def launch(
    command: list[str],
    environment: Mapping[str, str],
    folder: Path,
    log: Path,
    record: Callable[[Process], None],
    *,
    user: str | None = None,
) -> Process:
    """Starts a program in a session of its own, its output in `log`; `record` is called before it runs.

    `user` is the account that it runs as, which only root may choose. Undo: `end`.
    """
    with log.open("ab") as out:
        child = subprocess.Popen(
            ["/bin/sh", "-c", _BARRIER, "lab", *command],
            stdin=subprocess.PIPE,
            stdout=out,
            stderr=subprocess.STDOUT,
            env=environment,
            cwd=folder,
            user=user,
            start_new_session=True,
        )
    assert child.stdin is not None
    try:
        with child.stdin as barrier:
            process = Process(child.pid, start_time(child.pid) or "")
            record(process)
            with contextlib.suppress(BrokenPipeError):  # it was ended meanwhile, as its owner will see
                barrier.write(b"go\n")
    except BaseException:
        child.kill()  # it ends with the pipe, unless it was already told to go
        child.wait()
        raise
    child.returncode = 0  # it outlives this object, which would warn otherwise
    return process


def wait_for_start(
    question: Callable[[], object], timeout: float, what: str, alive: Callable[[], bool], reason: Callable[[], str]
) -> None:
    """Waits until the answer is true; raises `ActionError` with the reason when the process exits or time is up."""
    ready, exited = wait_until(lambda: (question(), not alive()), any, timeout=timeout, interval=0.05)
    if not ready:
        how = "exited during its start" if exited else f"is not ready after {timeout:.0f} s"
        raise ActionError(f"{what} {how}: {reason()}")


def send(process: Process, number: signal.Signals) -> bool:
    """Signals exactly this process; False where it is gone, also where another process has its id now."""
    if not hasattr(os, "pidfd_open"):
        alive = process.alive
        if alive:
            os.kill(process.pid, number)
        return alive
    try:
        descriptor = os.pidfd_open(process.pid)
    except OSError:
        return False
    try:
        # The descriptor stays with one process, so the id cannot be reused after this check.
        if not process.alive:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def end(processes: Iterable[Process], timeout: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Sends all the first signal, waits `timeout` s for them, and kills those that still run."""
    left = [p for p in processes if send(p, first)]
    for process in left:
        send(process, signal.SIGCONT)  # a suspended one does not handle a signal
    left = _wait_for_end(left, timeout)
    for process in left:
        send(process, signal.SIGKILL)
    _wait_for_end(left, 10)


def _wait_for_end(processes: list[Process], timeout: float) -> list[Process]:
    """Waits up to `timeout` s and returns those that still run."""
    return wait_until(
        lambda: [p for p in processes if not _gone(p)], lambda left: not left, timeout=timeout, interval=0.05
    )


def _gone(process: Process) -> bool:
    """Whether it has ended, and is reaped where this process is its parent.

    A killed broker counts as dead before its last thread has ended, and can be reaped only then.
    """
    if process.alive:
        return False
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # not started by this process, or already reaped
        return True
