"""Whether the facts are checked against the topology of the release that runs."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks.causes import WRONG_RELEASE
from attune_ops.doctor.findings import Problem, Severity, Subject
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source


@check(
    "AT214",
    "topology-of-the-release",
    group="topology",
    title="the topology is that of the release on the broker",
    severity=Severity.ERROR,
    needs=(Source.BROKER,),
    may_recover=False,
    passive=True,
)
def topology_of_the_release(facts: Facts) -> Iterator[Problem]:
    """Every known topology is compared with the broker: exchanges, queues and bindings with type and arguments.

    Without `--topology` the one that fits best is used. With a topology that was given, another one may fit clearly
    better: then the services on this broker are of that release. What the given topology lacks or has in addition is
    no fault of the broker. All findings that follow from the difference are folded into this one, and no command is
    printed that declares, deletes or unbinds anything: it would damage the release that runs.
    """
    better = facts.recognition.better_than(facts.topology.name) if facts.recognition else None
    if better is None or facts.recognition is None:
        return
    given = next(f for f in facts.recognition.fits if f.name == facts.topology.name)
    yield Problem(
        Subject("broker", WRONG_RELEASE[1], facts.vhost),
        f"the broker runs {better.name} ({better.matched} of {better.total} objects), not {given.name} "
        f"({given.matched} of {given.total})",
        evidence={f.name: {"matched": f.matched, "total": f.total} for f in facts.recognition.fits},
        remedy=f"Omit the topology, which is then recognised, or name {better.name}.",
        inspect_commands=(command_lines.diagnose_with(better.name),),
    )
