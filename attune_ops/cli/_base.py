"""What every command has: the target options and the form of its help."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import click

from attune_ops.cli import _complete
from attune_ops.cli._duration import duration
from attune_ops.cli._format import format_option as format_option
from attune_ops.cli._run import Cli
from attune_ops.cli._target_options import TARGET, TARGET_NAMES

COMPLETED = {"topology": _complete.topologies, "env": _complete.environments, "lab": _complete.labs}
COLORS = {"auto": None, "always": True, "never": False}
LONGEST = 1000  # characters of a sentence in a list of commands; Click would cut it at 45


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
