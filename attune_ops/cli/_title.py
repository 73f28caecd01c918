"""A password on the command line must not stay where everybody sees it: in the list of processes."""

from __future__ import annotations

import re
import sys
from pathlib import Path

# From the user's colon to the last @ of the argument.
_PASSWORD = re.compile(rb"(://[^/:@\x00]*:)([^\x00]*)(?=@)")


def hide_passwords() -> None:
    """Overwrites the passwords of URLs in this process's title with stars; `sys.argv` keeps them.

    Linux only, where a process may write over its own arguments. Elsewhere the environment variables are the
    way to keep a password out of the list of processes.
    """
    if sys.platform != "linux" or not any("://" in a and "@" in a for a in sys.argv):
        return
    import ctypes

    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        title = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if end - start != len(title) or ctypes.string_at(start, len(title)) != title:
        return
    for found in _PASSWORD.finditer(title):
        ctypes.memset(start + found.start(2), ord("*"), len(found[2]))
