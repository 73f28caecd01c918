"""What a command prints at a terminal of a given size, as a person sees it."""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import re
import struct
import subprocess
import termios
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Literal

from tests.forked import Fork
from tests.world import FORKED

SEQUENCE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[()][A-Z0-9]|\r")


class Printed:
    """The bytes that a terminal got, and the exit status."""

    def __init__(self, raw: str, status: int) -> None:
        self.raw, self.status = raw, status

    @property
    def lines(self) -> list[str]:
        """The lines without colours and links, and without the spaces at their ends."""
        return [line.rstrip() for line in SEQUENCE.sub("", self.raw).split("\n")][:-1]


def printed(
    arguments: Sequence[str | os.PathLike[str]],
    env: Mapping[str, str],
    *,
    width: int = 80,
    height: int = 24,
    timeout: float = 60,
    stream: Literal["stdout", "stderr"] = "stdout",
    cwd: Path | None = None,
) -> Printed:
    """Runs a command with one stream at a terminal and the other unread; the terminal must not wrap a line."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", height, width, 0, 0))
    command, *words = [os.fspath(a) for a in arguments]
    environment = {"TERM": "xterm", **env}
    with ExitStack() as stack:
        unread = stack.enter_context(open(os.devnull, "r+b")).fileno()
        streams = (unread, theirs, unread) if stream == "stdout" else (unread, unread, theirs)
        process: subprocess.Popen[bytes] | Fork
        if FORKED.usable(Path(command), environment, None):
            process = stack.enter_context(FORKED.begun(words, cwd or Path.cwd(), environment, streams))
        else:
            process = stack.enter_context(
                subprocess.Popen(
                    [command, *words], stdin=streams[0], stdout=streams[1], stderr=streams[2], cwd=cwd, env=environment
                )
            )
        os.close(theirs)
        shown = b""
        with contextlib.suppress(OSError):  # the terminal goes with the last process on it
            while part := os.read(ours, 65536):
                shown += part
        status = process.wait(timeout)
    os.close(ours)
    return Printed(shown.decode(), status)
