"""`attune-ops history`: readings over time, recorded and shown."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import click

from attune_ops.cli import _exit
from attune_ops.cli._base import format_option, group
from attune_ops.cli._duration import duration
from attune_ops.cli._options import DRY_RUN, chosen, columns_option
from attune_ops.cli._run import Cli, pass_cli

if TYPE_CHECKING:
    from attune_ops.model.facts import Facts

folder_option = click.option(
    "--folder",
    metavar="FOLDER|URI",
    help="Where the history is (default: ATTUNE_OPS_HISTORY, else in the user's state folder).",
)
cluster_option = click.option(
    "--cluster", metavar="NAME", help="The cluster's own name (default: the broker is asked for it)."
)


def since_option(default: str) -> Callable[[Any], Any]:
    """`--since` and `--until`."""
    since = click.option(
        "--since", default=default, show_default=True, metavar="TIME", help="How long ago, or a date or time in UTC."
    )
    until = click.option("--until", default="now", show_default=True, metavar="TIME", help="The end, in the same form.")
    return lambda function: since(until(function))


@group()
def command() -> None:
    """Records readings in a Parquet data set, and shows trends, comparisons and stories from it.

    DuckDB, pandas and other readers of Parquet read the folder too. Needs the extra history.
    """


@command.command(example="attune-ops history record --interval 1s --for 3s")
@folder_option
@click.option(
    "--interval", type=duration, default="15s", show_default=True, metavar="TIME", help="Interval between readings."
)
@click.option("--for", "span", type=duration, metavar="TIME", help="Duration; 0s: one reading (default: until Ctrl-C).")
@pass_cli
def record(cli: Cli, folder: str | None, interval: float, span: float | None) -> None:
    """Records queues, workers and nodes at an interval, until Ctrl-C; each line on stderr is a reading on the disk.

    A reading that fails is recorded with its reason. Several recorders may use one folder. Needs tag management, and
    for the nodes monitoring; changes nothing on the installation.
    """
    from attune_ops.model.facts import Source
    from attune_ops.model.units import counted
    from attune_ops.monitoring.recorder import record

    readings, lacked = 0, None

    def note(facts: Facts, rows: int) -> None:
        nonlocal readings, lacked
        readings += 1
        cli.note(_recorded(facts, rows))
        lacks = facts.missing_reason((Source.CONSUMERS, Source.REGISTRY)) if facts.broker else lacked
        if lacks != lacked:
            cli.note(f"without all sources: {lacks}" if lacks else "with all sources again")
        lacked = lacks

    try:
        record(cli.settings, folder, interval=interval, seconds=span, on_progress=note)
    except KeyboardInterrupt:  # also SIGTERM: the usual end without --for
        if span is not None:
            raise
    cli.note(f"ended after {counted(readings, 'reading')}; attune-ops history show")


@command.command(example="attune-ops history show 'attune.*' --since 1h")
@click.argument("pattern", required=False)
@click.option(
    "--of", type=click.Choice(("queues", "workers", "nodes", "gaps")), default="queues", show_default=True,
    help="What is shown; gaps: times without a reading.",
)  # fmt: skip
@click.option("--worker", metavar="NAME|ID", help="Only the queues of this worker.")
@since_option("24h")
@folder_option
@cluster_option
@columns_option
@format_option()
@pass_cli
def show(cli: Cli, /, pattern: str | None, of: Any, columns: str | None, format: str, **options: Any) -> None:
    """Shows the trend of each queue: depth, percentiles, growth, when it is full, when it came and went.

    PATTERN is a glob on the name, or a regular expression between slashes. At a terminal there is a chart of each of at
    most three queues. Changes nothing.
    """
    import shutil
    import sys

    from attune_ops.monitoring.history import show
    from attune_ops.monitoring.view_history import charts

    found = show(cli.settings, pattern, of=of, **options)
    cli.show(chosen(found.table, columns) if columns or format == "table" else found, format)
    if format == "table" and columns is None and sys.stdout.isatty():
        size = shutil.get_terminal_size()
        cli.write("".join(f"{line}\n" for line in charts(found, size.columns, size.lines)))


@command.command(example="attune-ops history compare 30d..0s 1h..now")
@click.argument("before", default="48h..24h")
@click.argument("after", default="24h..now")
@click.option("--pattern", metavar="PATTERN", help="Only queues that match.")
@folder_option
@cluster_option
@columns_option
@format_option()
@pass_cli
def compare(cli: Cli, /, before: str, after: str, columns: str | None, format: str, **options: Any) -> None:
    """Compares two periods queue by queue: by default the last 24 hours with the 24 hours before.

    A period is two times with .. between them: 48h..24h, 2026-11-28..2026-11-29, 1h..now. Changes nothing.
    """
    from attune_ops.monitoring.history_compare import compare

    found = compare(cli.settings, before, after, **options)
    cli.show(chosen(found, columns), format)


@command.command(example="attune-ops history story worker 1")
@click.argument("subject", type=click.Choice(("worker", "queue")))
@click.argument("name")
@since_option("30d")
@folder_option
@cluster_option
@format_option()
@pass_cli
def story(cli: Cli, /, subject: Any, name: str, format: str, **options: Any) -> None:
    """Shows what happened to a worker or a queue: registered, declared, bound, consumed, last seen, and the gaps.

    NAME is a worker's name or id, or a queue's name. Changes nothing.
    """
    from attune_ops.monitoring.history_story import story

    cli.show(story(cli.settings, subject, name, **options), format)


@command.command(example="attune-ops history prune --older-than 30d")
@click.option(
    "--older-than", default="30d", show_default=True, metavar="TIME", help="Days that ended at least this long ago."
)
@folder_option
@click.option("--apply", is_flag=True, help="Delete the files; without it, a dry run.")
@format_option()
@pass_cli
def prune(cli: Cli, older_than: str, folder: str | None, apply: bool, format: str) -> None:
    """Deletes old days of the history, of all clusters in the folder: whole files that this tool wrote, nothing else.

    Deleted files cannot be restored. Exit status 1 after --apply: a deletion failed.
    """
    from attune_ops.monitoring.history_prune import prune

    done = prune(older_than, folder=folder, apply=apply)
    cli.show(done, format)
    if done.rows and not apply:
        cli.note(DRY_RUN)
    cli.exit(_exit.FOUND if any(str(v).startswith("failed: ") for v in done.column("verdict")) else _exit.OK)


def _recorded(facts: Facts, rows: int) -> str:
    """The line of a reading that is on the disk."""
    from attune_ops.model.facts import Source
    from attune_ops.model.units import counted

    reason = facts.missing_reason((Source.BROKER, Source.DEPTHS))
    queues = facts.actual.queue_named.values() if facts.broker else ()
    depths = [q.messages for q in queues if q.messages is not None]
    said = f"failed: {reason}" if reason else f"{counted(sum(depths), 'message')} in {counted(len(depths), 'queue')}"
    return f"recorded {facts.taken_at:%Y-%m-%dT%H:%M:%S.%f}Z, {rows} rows: {said}"
