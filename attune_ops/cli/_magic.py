"""The line magic `%attune COMMAND` of IPython and Jupyter: the commands, with their results as objects."""

from __future__ import annotations

import shlex
from typing import Any

from attune_ops.cli._run import Cli


class KeepingCli(Cli):
    """A run that keeps the last table, report, … instead of printing it."""

    def __init__(self) -> None:
        super().__init__()
        self.value: Any = None

    def show(self, value: Any, format: str) -> None:
        """Keeps the value, unless another format than the default is asked for."""
        if format == "table":
            from attune_ops.doctor.screen import Screen

            self.value = value.report if isinstance(value, Screen) else value
        else:
            super().show(value, format)


def attune(line: str) -> Any:
    """Runs a command and returns what `Ops` returns for it: `report = %attune doctor --only AT401`.

    Options, environment and protections are those of the command line; messages and errors go to stderr. None where
    the command printed text, or failed.
    """
    from attune_ops.cli._main import main

    cli = KeepingCli()
    try:
        words = shlex.split(line)
    except ValueError as e:
        cli.error(f"attune-ops: {e}")
        return None
    main(words, cli)
    return cli.value
