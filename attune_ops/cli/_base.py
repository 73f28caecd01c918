"""What every command has: the target options, data on stdout, messages on stderr, the form of its help."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, NoReturn

import click

from attune_ops.cli import _complete
from attune_ops.cli._duration import duration
from attune_ops.cli._format import format_option as format_option
from attune_ops.cli._target_options import TARGET, TARGET_NAMES, with_target_options
from attune_ops.model.deadline import Deadline

if TYPE_CHECKING:
    from rich.console import Console

    from attune_ops.installation.config import Settings
    from attune_ops.model.errors import ConfigError
    from attune_ops.ops import Ops

COMMAND = r"(?:attune-ops|rabbitmq[a-z-]*) [a-z]|\$ "  # in a message: not wrapped, so that it can be copied
COMPLETED = {"topology": _complete.topologies, "env": _complete.environments, "lab": _complete.labs}
COLORS = {"auto": None, "always": True, "never": False}
LONGEST = 1000  # characters of a sentence in a list of commands; Click would cut it at 45
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


def _common_options() -> list[click.Parameter]:
    """The target options, --timeout, --color and --verbose; they may stand before a command's name or after it."""
    made: list[click.Parameter] = [
        click.Option(
            [f"--{name}"],
            metavar=metavar,
            help=help,
            expose_value=False,
            is_eager=True,  # before the command's own options, which may use them
            multiple=name == "env",
            callback=_remember_env if name == "env" else _remember,
            shell_complete=COMPLETED.get(name),
        )
        for name, metavar, help in TARGET
    ]
    hidden: dict[str, Any] = {"expose_value": False}  # their callbacks keep the values
    made.append(
        click.Option(
            ["--timeout"],
            metavar="TIME",
            callback=_timeout,
            help="Longest wait without progress, e.g. 30s; then exit status 3 (default: 15s).",
            **hidden,
        )
    )
    made.append(
        click.Option(
            ["--color"],
            type=click.Choice(tuple(COLORS)),
            callback=_color,
            help="Colours (default: auto, for a terminal). --no-color is never.",
            **hidden,
        )
    )
    made.append(
        click.Option(["--no-color"], is_flag=True, callback=_no_color, hidden=True, help="No colours.", **hidden)
    )
    verbose = "Print each request on stderr; -vv: also tracebacks."
    made.append(click.Option(["-v", "--verbose"], count=True, callback=_verbose, help=verbose, **hidden))
    return made


def _remember(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None and param.name is not None:
        ctx.ensure_object(Cli).options[param.name] = value


def _remember_env(ctx: click.Context, param: click.Parameter, values: tuple[str, ...]) -> None:
    """The last one is chosen, as one after a command's name goes before one of an alias; or all, by `several_envs`."""
    cli = ctx.ensure_object(Cli)
    if values:
        cli.envs, cli.options["env"] = tuple(dict.fromkeys(values)), values[-1]
    if len(cli.envs) > 1 and isinstance(ctx.command, Command) and not ctx.command.several_envs:
        given = " ".join(f"--env {name}" for name in cli.envs)
        raise click.UsageError(f"{ctx.info_name} is for one environment, not {given}; doctor and serve take several")


def _color(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        ctx.ensure_object(Cli).color = COLORS[value]


def _no_color(ctx: click.Context, param: click.Parameter, value: bool) -> None:
    if value:
        ctx.ensure_object(Cli).color = False


def _timeout(ctx: click.Context, param: click.Parameter, value: str | None) -> None:
    if value is not None:
        cli = ctx.ensure_object(Cli)
        cli.timeout = cli.deadline.seconds = duration(value)
        if not cli.timeout:
            raise click.BadParameter("it must be more than 0")


def _verbose(ctx: click.Context, param: click.Parameter, value: int) -> None:
    ctx.ensure_object(Cli).verbose += value


class _Common(click.Command):
    """A command with the common options; its help lists the target options in a section of their own."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.params.extend(_common_options())

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own options first."""
        options = [p for p in self.get_params(ctx) if isinstance(p, click.Option)]
        records = {p.name: p.get_help_record(ctx) for p in options}
        for title, wanted in (("Options", False), ("Target (or ATTUNE_OPS_… in the environment)", True)):
            listed = [r for name, r in records.items() if r is not None and (name in TARGET_NAMES) is wanted]
            with formatter.section(title):
                formatter.write_dl(listed)
        if isinstance(self, click.Group):
            self.format_commands(ctx, formatter)


class Command(_Common):
    """A command; its help ends with a working example."""

    def __init__(self, *args: Any, example: str, several_envs: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.example, self.several_envs = example, several_envs

    def format_epilog(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The example, not wrapped, so that it can be copied."""
        with formatter.section("Example"):
            for line in self.example.splitlines():
                formatter.write(f"{'':>{formatter.current_indent}}{line.strip()}\n")


class Group(_Common, click.Group):
    """A command with sub-commands (`topology list`)."""

    command_class = Command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Each command with its whole first sentence; Click cuts it to one line."""
        found = [(name, self.sentence_of(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl([(name, sentence) for name, sentence in found if sentence is not None])

    def sentence_of(self, ctx: click.Context, name: str) -> str | None:
        """The sentence of a command in the list; None for one that is not listed."""
        command = self.get_command(ctx, name)
        return None if command is None or command.hidden else command.get_short_help_str(limit=LONGEST)


def command(example: str, **kwargs: Any) -> Callable[[Callable[..., Any]], Command]:
    """Makes a function a command; `example` is printed at the end of its help and works as printed."""
    return click.command(cls=Command, example=example, **kwargs)


def group(**kwargs: Any) -> Callable[[Callable[..., Any]], Group]:
    """Makes a function a command with sub-commands."""
    return click.group(cls=Group, **kwargs)


pass_cli = click.make_pass_decorator(Cli, ensure=True)
