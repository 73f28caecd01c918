"""Runs the command and writes the peak of its memory, in KiB, to the file that MEASURED names.

Not by the parent: the kernel counts the memory of the process that a child was forked from as the child's.
"""

from __future__ import annotations

import atexit
import os
import re
import runpy
import sys
from pathlib import Path


def report() -> None:
    """Called at the end of the process, after everything else."""
    found = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    assert found
    Path(os.environ["MEASURED"]).write_text(found[1])


if __name__ == "__main__":
    sys.path.pop(0)  # this folder
    atexit.register(report)
    runpy.run_module("attune_ops", run_name="__main__")
