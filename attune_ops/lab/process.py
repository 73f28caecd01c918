"""Starting a process so that it is on record before it does anything, and ending exactly that process."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from attune_ops.installation.config.running_lab import Process, start_time
from attune_ops.model.waiting import wait_until

# The shell waits for a line before it becomes the program. Where whoever started it died without having
# written the process down, the pipe ends and the program never runs.
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
    """Starts a program in a session of its own, its output going to `log`; `record` is called before it runs.

    `user` is as whom it runs, which only root may say.
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
    with child.stdin as barrier:
        process = Process(child.pid, start_time(child.pid) or "")
        record(process)
        with contextlib.suppress(BrokenPipeError):  # it was ended meanwhile, which its owner will see
            barrier.write(b"go\n")
    child.returncode = 0  # it outlives this object, which would complain otherwise
    return process


def send(process: Process, number: signal.Signals) -> bool:
    """Signals exactly this process; False where it is gone, also where its id now is another process's."""
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
        # The descriptor stays with one process, so the id cannot change hands after this look.
        if not process.alive:
            return False
        signal.pidfd_send_signal(descriptor, number)
        return True
    except ProcessLookupError:
        return False
    finally:
        os.close(descriptor)


def end(processes: Iterable[Process], patience: float, first: signal.Signals = signal.SIGTERM) -> None:
    """Asks all to end, waits `patience` seconds for them, and kills those that still run."""
    left = [p for p in processes if send(p, first)]
    for process in left:
        send(process, signal.SIGCONT)  # a suspended one could not obey
    left = _wait_for_end(left, patience)
    for process in left:
        send(process, signal.SIGKILL)
    _wait_for_end(left, 10)


def _wait_for_end(processes: list[Process], patience: float) -> list[Process]:
    """Waits up to `patience` seconds and returns those that still run."""
    return wait_until(
        lambda: [p for p in processes if not _gone(p)], lambda left: not left, timeout=patience, interval=0.05
    )


def _gone(process: Process) -> bool:
    """Whether it has ended, and is reaped where this process has started it.

    A broker that was killed is dead to the eye before the last of its threads has ended, and only then reaped.
    """
    if process.alive:
        return False
    try:
        return os.waitpid(process.pid, os.WNOHANG)[0] != 0
    except ChildProcessError:  # not started by this process, or already reaped
        return True
