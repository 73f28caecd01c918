"""The process of one stand-in: reads its job from stdin, and runs until SIGTERM or until its parent is gone."""

from __future__ import annotations

import os
import signal
import sys
import threading

from attune_ops.startup.standins.job import EventLog, Job
from attune_ops.startup.standins.roles import STAND_INS


def main() -> int:
    """Runs the job in the first line of stdin; returns 0 after a clean stop."""
    job = Job.decode(_first_line())
    log = EventLog(job.log, job.service, job.name)
    if not job.behaviour.detached:
        threading.Thread(target=_stop_without_parent, daemon=True).start()
    status = 1
    try:
        status = STAND_INS[job.service](job, log).run()
    finally:
        log.write("ended", status=status)
    return status


# Read without Python's buffers: at the end of the process a thread that waits in one of these is fatal.
def _first_line() -> bytes:
    line = b""
    while not line.endswith(b"\n"):
        more = os.read(0, 65536)
        if not more:
            break
        line += more
    return line


def _stop_without_parent() -> None:
    """Waits for the end of stdin, which comes when the parent process is gone, and then stops this process."""
    while os.read(0, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    sys.exit(main())
