"""The `attune-ops` command."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Runs the command line; the version alone is answered without loading it, because scripts ask often."""
    if sys.argv[1:] in (["--version"], ["version"]):
        from attune_ops import __version__

        sys.stdout.write(f"attune-ops {__version__}\n")
        return 0
    # Nearly all that a command makes lives until it ends: a collection at the usual rate frees nothing, and costs a
    # tenth of the start.
    gc.set_threshold(100_000, 20, 20)
    hide_passwords()
    from attune_ops.cli._main import main as run

    try:
        return run()
    finally:
        gc.freeze()  # nor does the collection at exit find anything; it would cost a tenth, too


def hide_passwords() -> None:
    """Overwrites the passwords of URLs in the title of this process with stars, so that `ps` does not show them.

    Linux only, where a process may overwrite its own arguments; `sys.argv` keeps them. Elsewhere use the environment
    variables.
    """
    if sys.platform != "linux" or not any("://" in a and "@" in a for a in sys.argv):
        return
    import ctypes
    import re
    from pathlib import Path

    try:
        fields = Path("/proc/self/stat").read_bytes().rpartition(b")")[2].split()
        start, end = int(fields[45]), int(fields[46])
        title = Path("/proc/self/cmdline").read_bytes()
    except (OSError, ValueError, IndexError):
        return
    if end - start != len(title) or ctypes.string_at(start, len(title)) != title:
        return
    for found in re.finditer(rb"(://[^/:@\x00]*:)([^\x00]*)(?=@)", title):  # from the user's colon to the last @
        ctypes.memset(start + found.start(2), ord("*"), len(found[2]))


if __name__ == "__main__":
    sys.exit(main())
