"""What the live view shows of one row: a worker, a queue or a finding, and what can be done about it."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any, Literal, NamedTuple

from rich.console import Group, RenderableType
from rich.text import Text

from attune_ops.doctor.findings import Finding, Report
from attune_ops.inventory import consumer_count
from attune_ops.inventory.workers import workers
from attune_ops.model import command_lines, units
from attune_ops.model.facts import Facts, Source
from attune_ops.model.orphans import orphaned_queues
from attune_ops.model.ownership import unknown_consumers
from attune_ops.model.snapshot import QueueState
from attune_ops.monitoring.live_reading import Depths, orphans_known
from attune_ops.monitoring.live_rows import BARS, spark, subjects
from attune_ops.render import form
from attune_ops.render.text import visible


class Action(NamedTuple):
    """A change that the view offers: of which kind, of what, in words, and the command that does the same."""

    kind: Literal["reap", "close"]
    subject: str
    words: str
    command: str


def actions(key: str, report: Report) -> list[Action]:
    """What can be done about a row: reap an orphaned queue, close the connection of an unknown consumer."""
    facts, made = report.facts, []
    names = queues_of(key, report)
    if orphans_known(facts) is None:
        for orphan in orphaned_queues(facts):
            if orphan.queue in names:
                line = str(command_lines.reap(orphan.queue))
                made.append(Action("reap", orphan.queue, f"reap the orphaned queue {orphan.queue}", line))
    if facts.missing_reason((Source.BROKER, Source.CONSUMERS)) is None:
        for queue, found in facts.memo(unknown_consumers).items():
            for c in found if queue in names else ():
                if c.connection:
                    line = str(command_lines.close_connection(c.connection))
                    words = f"close the connection {c.connection} of the unknown consumer {c.tag} of {queue}"
                    made.append(Action("close", c.connection, words, line))
    return made


def queues_of(key: str, report: Report) -> tuple[str, ...]:
    """The queues that a row is about."""
    kind, _, name = key.partition(" ")
    if kind == "queue":
        return (name,)
    if kind == "worker":
        desired = [q.name for q in report.facts.topology.worker_queues(int(name))] if int(name) > 0 else []
        actual = [q.name for q in report.facts.worker_queues.get(int(name), ())]
        return tuple(dict.fromkeys((*desired, *actual)))
    return tuple(s.name for f in _finding_of(key, report) for s in f.subjects if s.kind == "queue")


def _finding_of(key: str, report: Report) -> list[Finding]:
    return [f for f in report.findings if key == f"finding {f.code} {f.subject.kind} {f.subject.name}"]


def commands(key: str, report: Report) -> list[str]:
    """The commands to copy: of the findings about a row."""
    return list(dict.fromkeys(str(c) for f in findings_about(key, report) for c in f.commands))


def findings_about(key: str, report: Report) -> list[Finding]:
    """The findings about a row: about its worker, and about its queues."""
    kind, _, name = key.partition(" ")
    if kind == "finding":
        return _finding_of(key, report)
    about = {("queue", q) for q in queues_of(key, report)}
    if kind == "worker":
        worker = report.facts.worker_named.get(int(name))
        about |= {("worker", name)} | ({("worker", worker.name)} if worker else set())
    return [f for f in report.findings if any((s.kind, s.name) in about for s in subjects(f))]


def detail(key: str, report: Report, depths: Depths, width: int) -> RenderableType:
    """Everything that the last reading has about a row."""
    kind, _, name = key.partition(" ")
    parts: list[Any] = []
    if kind == "worker":
        parts += _worker(int(name), report.facts)
    for queue in queues_of(key, report):
        parts += [] if kind == "queue" else ["", Text(visible(queue), "bold", overflow="fold")]
        parts += _queue(queue, report.facts, depths, width)
    found = findings_about(key, report)
    if found or kind != "finding":
        parts += ["", Text("Findings", "bold")]
        parts += [item for f in found for item in (form(f, "table"), "")] or [Text("none about it", "dim")]
    else:
        parts.append(Text("the last reading does not have this finding any more", "green"))
    offered = actions(key, report)
    parts += ["", *(Text(f"x  {visible(a.words)} (plan first)", "yellow", overflow="fold") for a in offered)]
    return Group(*parts)


def _worker(number: int, facts: Facts) -> Iterator[Text]:
    row = next((r for r in facts.memo(workers).records() if r["id"] == number), None)
    if row is None:
        yield Text("the last reading does not have this worker any more", "yellow")
        return
    for label in ("name", "state", "status", "heartbeat", "executions", "cordoned", "role", "host", "missing"):
        value = row[label]
        if isinstance(value, timedelta):
            said = f"{units.age(value)} ago"
        elif isinstance(value, bool):
            said = "yes" if value else "no"
        else:
            said = ", ".join(value) if isinstance(value, tuple) else "" if value is None else str(value)
        yield _line(label, said or "—")


def _line(label: str, said: object) -> Text:
    return Text(f"{label:<12}", "dim", overflow="fold").append(visible(str(said)), "not dim default")


def _queue(name: str, facts: Facts, depths: Depths, width: int) -> Iterator[Any]:
    queue = facts.actual.queue_named.get(name) if facts.broker is not None else None
    if queue is None:
        yield Text("missing on the broker", "yellow")
        return
    count = {True: "yes", False: "no", None: "—"}
    yield _line("messages", f"{_shown(queue.messages)}: {_shown(queue.messages_ready)} ready, "
                f"{_shown(queue.messages_unacknowledged)} unacknowledged")  # fmt: skip
    yield from _story(depths, name, width)
    yield _line("queue", f"{queue.type}, durable {count[queue.durable]}, auto-delete {count[queue.auto_delete]}"
                + (f", policy {queue.policy}" if queue.policy else ""))  # fmt: skip
    yield from _consumers(facts, queue)
    bound = facts.actual.bindings_to_queue.get(name, ())
    for i, b in enumerate(bound):
        yield _line("" if i else "bindings", f"{b.source or '(default exchange)'} / {b.routing_key!r}")
    if not bound:
        yield _line("bindings", "none")


def _story(depths: Depths, name: str, width: int) -> Iterator[Text]:
    """The depth over the last readings: a sparkline, its ends in numbers, and since when."""
    room = max(16, min(96, width - 28))  # the label before it, the largest depth after it
    values = depths.of(name)[-room:]
    known = [v for v in values if v is not None]
    if len(known) < 2:
        return
    since = depths.since(len(values))
    yield _line("depth", spark(values, min(room, len(values)))).append(f" {BARS[7]} {max(known):,}", "dim not bold")
    change = known[-1] - known[0]
    moved = "unchanged" if not change else f"{'+' if change > 0 else '−'}{abs(change):,} messages"
    yield _line("", f"{moved} since {since:%H:%M:%S}Z; least {min(known):,}, most {max(known):,}")


def _shown(count: int | None) -> str:
    return "—" if count is None else f"{count:,}"


def _consumers(facts: Facts, queue: QueueState) -> Iterator[Text]:
    found = facts.actual.consumers_of.get(queue.name, ()) if facts.actual.consumers is not None else ()
    strange = facts.memo(unknown_consumers).get(queue.name, ()) if facts.actual.consumers is not None else ()
    for i, c in enumerate(found):
        said = f"{c.tag}, prefetch {c.prefetch or 'unlimited'}, {c.connection or 'connection unknown'}"
        yield _line("" if i else "consumers", said).append("  ! unknown consumer" if c in strange else "", "yellow")
    if not found:
        yield _line("consumers", _shown(consumer_count(facts, queue)))
