"""The state of one run of the command: its options, data on stdout, messages on stderr."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from attune_ops.cli._target_options import with_target_options
from attune_ops.model.deadline import Deadline

if TYPE_CHECKING:
    from rich.console import Console

    from attune_ops.installation.config import Settings
    from attune_ops.model.errors import ConfigError
    from attune_ops.ops import Ops

COMMAND = r"(?:attune-ops|rabbitmq[a-z-]*) [a-z]|\$ "  # in a message: not wrapped, so that it can be copied
PATIENCE = 1.5  # the time of the whole command without progress, in times of one answer's


class Cli:
    """The state of one run: the target options, and the settings resolved from them on first use."""

    def __init__(self) -> None:
        self.options: dict[str, str] = {}
        self.envs: tuple[str, ...] = ()  # each --env; the last one is in `options`
        self.color: bool | None = None
        self.verbose = 0
        self.raw = False
        self.timeout: float | None = None
        self.deadline = Deadline()
        self.failure: str | None = None  # the error that ended the command
        self._settings: Settings | None = None
        self._secrets: tuple[Any, ...] = ()
        self._ops: Ops | None = None
        self._console: Console | None = None  # that of the progress which is shown now

    @property
    def settings(self) -> Settings:
        """The resolved settings; raises `ConfigError`."""
        if self._settings is None:
            from attune_ops.installation.config import resolve

            self._settings = self._with_timeout(resolve(self.options))
            if self._settings.left_out:
                self.note(f"attune-ops: {self._settings.left_out}")
        return self._settings

    def use(self, several: dict[str, Settings | ConfigError]) -> dict[str, Settings | ConfigError]:
        """The settings of several environments with `--timeout`; their secrets are masked from now on."""
        used = {n: s if isinstance(s, Exception) else self._with_timeout(s) for n, s in several.items()}
        self._secrets = tuple(s for one in used.values() if not isinstance(one, Exception) for s in one.secrets)
        return used

    def _with_timeout(self, settings: Settings) -> Settings:
        """The settings with `--timeout`; a longer timeout of the configuration lets the whole command wait longer."""
        if self.timeout is None:
            self.deadline.seconds = max(self.deadline.seconds, PATIENCE * settings.timeout)
            return settings
        import msgspec

        return msgspec.structs.replace(settings, timeout=self.timeout)

    @property
    def ops(self) -> Ops:
        """The chosen installation; closed when the command ends."""
        if self._ops is None:
            from attune_ops.ops import Ops

            self._ops = Ops(self.settings)
        return self._ops

    @property
    def secrets(self) -> tuple[Any, ...]:
        """The secrets of this run, for masking."""
        return self._settings.secrets if self._settings is not None else self._secrets

    def close(self) -> None:
        """Closes what was opened."""
        if self._ops is not None:
            self._ops.close()

    def show(self, value: Any, format: str) -> None:
        """Prints a table, report, … on stdout in one of its formats."""
        from attune_ops.render import show

        value = with_target_options(value, self.options)
        show(value, format, color=self.color, secrets=self.secrets, raw=self.raw)
        if format == "csv":  # has no place for notes
            for note in getattr(value, "notes", ()):
                self.note(note)

    def report(self, value: Any, format: str) -> None:
        """Prints a result on stderr, where stdout is the file that the command writes."""
        from attune_ops.render import written

        self.note(written(value, "text" if format == "table" else format, self.secrets, raw=self.raw))

    def write(self, text: str) -> bool:
        """Prints text as it is on stdout: a script, the content of a file. False if the pipe is closed."""
        from attune_ops.model.secret import without
        from attune_ops.render.wire import write

        return write(without(text, self.secrets))

    def note(self, text: str) -> None:
        """Prints a message on stderr, without secrets and control characters.

        At a terminal it is wrapped, unless it has several lines or a command to copy.
        """
        line = self.cleaned(text) if "\n" in text or re.search(COMMAND, text) else self.wrapped(text)
        if self._console is not None:  # above the progress
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
            return
        try:
            click.echo(line, err=True)
        except BrokenPipeError:  # the command goes on without a reader
            from attune_ops.render.wire import silence

            silence(sys.stderr)

    def request(self, request: str, outcome: str, elapsed_ms: float) -> None:
        """Prints one request on stderr, with `-v`."""
        if self.verbose:
            self.note(f"{elapsed_ms:7.1f} ms  {outcome:<5} {request}".replace("\n", " "))

    def error(self, sentence: str) -> None:
        """Prints an error on stderr, wrapped at a terminal whatever is in it."""
        self.note(self.wrapped(sentence))

    @contextmanager
    def progress(self, what: str, seconds: float | None = None) -> Iterator[Callable[[str], None]]:
        """Yields a function that prints a line on stderr; a terminal also shows `what` and the elapsed time.

        Where the `seconds` that it takes are known, the terminal shows a bar with that total. What is shown already
        stays: a part of it has no progress of its own.
        """
        if self._console is not None or not sys.stderr.isatty():
            yield self.note
            return
        from attune_ops.render.terminal import progress

        shown = progress(what, seconds, no_color=self.color is False)
        self._console = shown.console
        try:
            with shown:
                yield self.note
        finally:
            self._console = None

    def cleaned(self, text: str) -> str:
        """The text without secrets and control characters, its command lines with the target options of this run."""
        from attune_ops.model.secret import scrub
        from attune_ops.render.text import visible_lines

        return visible_lines(scrub(with_target_options(text, self.options), self.secrets))

    def wrapped(self, line: str) -> str:
        """The cleaned line, wrapped to the terminal on stderr; unchanged without one."""
        import os
        import textwrap

        line = self.cleaned(line)
        if not sys.stderr.isatty():
            return line
        width = os.get_terminal_size(sys.stderr.fileno()).columns
        return textwrap.fill(
            line, max(width, 20), subsequent_indent="  ", break_on_hyphens=False, break_long_words=False
        )

    def exit(self, status: int) -> NoReturn:
        """Ends the command with a status of `attune_ops.cli._exit`."""
        raise click.exceptions.Exit(status)


pass_cli = click.make_pass_decorator(Cli, ensure=True)
