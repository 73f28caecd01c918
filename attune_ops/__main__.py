"""The `attune-ops` command."""

from __future__ import annotations

import gc
import sys


def main() -> int:
    """Runs the command line; `--version` alone is answered without loading it, since scripts ask often."""
    if sys.argv[1:] == ["--version"]:
        from attune_ops import __version__

        sys.stdout.write(f"attune-ops {__version__}\n")
        return 0
    # Nearly all that a command makes lives until it ends: looking for garbage at the usual rate finds none, and
    # costs a tenth of the start.
    gc.set_threshold(100_000, 20, 20)
    from attune_ops.cli._title import hide_passwords

    hide_passwords()
    from attune_ops.cli._main import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
