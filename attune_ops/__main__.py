"""The `attune-ops` command."""

from __future__ import annotations

import sys


def main() -> int:
    """Runs the command line; `--version` alone is answered without loading it, since scripts ask often."""
    if sys.argv[1:] == ["--version"]:
        from attune_ops import __version__

        sys.stdout.write(f"attune-ops {__version__}\n")
        return 0
    from attune_ops.cli._title import hide_passwords

    hide_passwords()
    from attune_ops.cli._base import main as run

    return run()


if __name__ == "__main__":
    sys.exit(main())
