"""An interrupt ends a command, whatever Python does at that moment."""

from __future__ import annotations

import subprocess
import sys

DROPPED = """
import signal, threading
from attune_ops.cli._main import _terminable

class Callback:
    def __del__(self):
        signal.raise_signal(signal.SIGINT)

interrupted = []
try:
    with _terminable(interrupted):
        Callback()  # Python ignores what is raised in it
        threading.Event().wait(120)
except KeyboardInterrupt:
    print("interrupted", len(interrupted))
"""


def test_one_that_python_drops_comes_again() -> None:
    done = subprocess.run([sys.executable, "-c", DROPPED], capture_output=True, text=True, timeout=60, check=False)
    assert (done.stdout, done.stderr) == ("interrupted 2\n", "")
