"""The root command: it finds the commands, runs one, and chooses the exit status."""

from __future__ import annotations

import importlib
import importlib.util
import io
import re
import signal
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NoReturn

import click

import attune_ops.cli as package
from attune_ops.cli._base import LONGEST, Group
from attune_ops.cli._run import Cli
from attune_ops.installation.last_reading import kept as kept_names
from attune_ops.model.deadline import whole_command
from attune_ops.model.errors import AttuneOpsError, Interrupted
from attune_ops.model.requests_log import reporting
from attune_ops.model.version import __version__
from attune_ops.model.waiting import displayed_by

DOCSTRING = r'(?ms)^def command\(.*?^    """(.*?)"""'  # of a command's function
AGAIN_S = 0.05  # until a signal that was lost is sent again


class Commands(Group):
    """The root command: every module of `attune_ops.cli` is a command, imported when it is used."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """The names of the modules on the package's path."""
        import pkgutil

        names = (m.name for m in pkgutil.iter_modules(package.__path__))
        return sorted(n.replace("_", "-") for n in names if not n.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """Imports the module of that name."""
        module = f"{package.__name__}.{name.replace('-', '_')}"
        if not re.fullmatch(r"[a-z][a-z0-9-]*", name) or importlib.util.find_spec(module) is None:
            if ctx.resilient_parsing:  # completion also passes incomplete words
                return None
            import difflib

            near = difflib.get_close_matches(name, self.list_commands(ctx), n=1)
            ctx.fail(f"No such command {name!r}" + (f" (did you mean {near[0]!r}?)" if near else ""))
        found: click.Command = importlib.import_module(module).command
        return found

    def sentence_of(self, ctx: click.Context, name: str) -> str | None:
        """The command's sentence as its file has it: to import all of them takes four times as long as to read them.

        A command that is not made by a function, or has no source file, is imported.
        """
        import pkgutil

        try:
            source = pkgutil.get_data(package.__name__, f"{name.replace('-', '_')}.py") or b""
        except OSError:
            source = b""
        found = re.search(DOCSTRING, source.decode())
        if found is None:
            return super().sentence_of(ctx, name)
        return click.Command(name, help=found[1]).get_short_help_str(limit=LONGEST)


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="attune-ops %(version)s")
def root() -> None:
    """Diagnostics and operations for the RabbitMQ side of Attune.

    Exit status: 0 done; 1 doctor, health, drill or a diff found something, or the operation failed; 2 invalid command
    line or configuration; 3 broker, management API or database unreachable, or access refused; 130 interrupted.
    """


def main(arguments: list[str] | None = None, cli: Cli | None = None) -> int:
    """Runs the command line and returns its exit status; an error is one line on stderr."""
    from attune_ops.cli._monitor import is_nagios, status_for_nagios

    cli = cli or Cli()
    status = _run(cli, arguments)
    return status_for_nagios(cli, status) if is_nagios(sys.argv[1:] if arguments is None else arguments) else status


def _run(cli: Cli, arguments: list[str] | None) -> int:
    from attune_ops.cli import _exit

    interrupted = list[int]()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")  # for an ASCII terminal
    try:
        with (
            _terminable(interrupted), whole_command(cli.deadline), reporting(cli.request), kept_names(),
            displayed_by(cli.progress),
        ):  # fmt: skip
            result = root.main(arguments, prog_name="attune-ops", standalone_mode=False, obj=cli)
        status = result if isinstance(result, int) else _exit.OK
        if cli.deadline.silent and status in (_exit.OK, _exit.FOUND):
            cli.error("attune-ops: there was no answer in time: the result is incomplete")
            return _exit.UNREACHABLE
        return status
    except click.exceptions.NoArgsIsHelpError as e:
        click.echo(e.format_message(), err=True)  # not masked: it has an example of a URL
        return _exit.USAGE
    except click.ClickException as e:
        ctx = getattr(e, "ctx", None)
        path = ctx.command_path if ctx else "attune-ops"
        name = "; write -- before a name that begins with -" if _may_be_name(e) else ""
        _error(cli, f"{e.format_message().rstrip('.')}{name}; see {path} --help", e)
        return _exit.USAGE
    except (KeyboardInterrupt, click.Abort) as e:
        cause = e.__cause__ if isinstance(e, click.Abort) else e  # Click replaces the interrupt by its own
        cli.note("attune-ops: interrupted" + (f"; {cause}" if isinstance(cause, Interrupted) else ""))
        return _exit.INTERRUPTED
    except AttuneOpsError as e:
        if interrupted:  # pika fails in its own way when it is interrupted
            cli.note(f"attune-ops: interrupted; {e}")
            return _exit.INTERRUPTED
        _error(cli, str(e), e)
        status = _exit.status_of(e)
        return _exit.UNREACHABLE if cli.deadline.silent and status == _exit.FOUND else status
    except Exception as e:  # noqa: BLE001 - a bug ends in one line too
        if interrupted:
            cli.note("attune-ops: interrupted")
            return _exit.INTERRUPTED
        _error(cli, f"unexpected {type(e).__name__}: {e} (a bug; -vv prints the traceback)", e)
        return _exit.FOUND
    finally:
        cli.close()


def _may_be_name(error: click.ClickException) -> bool:
    """Whether an unknown option may be meant as an argument, such as the name of a queue."""
    if not isinstance(error, click.NoSuchOption) or error.ctx is None or error.option_name.startswith("--"):
        return False
    return any(isinstance(p, click.Argument) for p in error.ctx.command.params)


@contextmanager
def _terminable(interrupted: list[int]) -> Iterator[None]:
    """Lets SIGTERM and a closed terminal interrupt like Ctrl-C, so that what was started is undone or reported.

    Signals that arrive are put into `interrupted`.
    """

    def interrupt(number: int, frame: object) -> NoReturn:
        interrupted.append(number)
        raise KeyboardInterrupt

    def again(dropped: sys.UnraisableHookArgs) -> None:
        """Python drops what is raised in a callback of its garbage collector or importer: the interrupt is lost."""
        if not interrupted or not issubclass(dropped.exc_type, KeyboardInterrupt):
            hook(dropped)
            return
        repeats.append(threading.Timer(AGAIN_S, signal.pthread_kill, (threading.main_thread().ident, interrupted[-1])))
        repeats[-1].start()

    repeats, hook = list[threading.Timer](), sys.unraisablehook
    before = {s: signal.getsignal(s) for s in (signal.SIGTERM, signal.SIGHUP, signal.SIGINT)}
    caught = [s for s, how in before.items() if how in (signal.SIG_DFL, signal.default_int_handler)]
    if threading.current_thread() is not threading.main_thread():
        caught = []
    for number in caught:
        signal.signal(number, interrupt)
    if caught:
        sys.unraisablehook = again
    try:
        yield
    finally:
        sys.unraisablehook = hook
        for repeat in repeats:
            repeat.cancel()
        for number in caught:
            signal.signal(number, before[number])


def _error(cli: Cli, sentence: str, error: BaseException) -> None:
    if cli.verbose >= 2:
        import traceback

        cli.note("".join(traceback.format_exception(error)))
    cli.failure = cli.cleaned(" ".join(sentence.split()))
    cli.error("attune-ops: " + " ".join(sentence.split()))
