"""The commands that findings print: which they are, and running each as printed."""

from __future__ import annotations

import shlex

from attune_ops.cli import _exit
from attune_ops.doctor.findings import Finding, Report
from tests.cli.commands import ALL
from tests.live.places import Place
from tests.world import Run, eventually

ASK = {"topology diff", "route", "doctor"}  # which answer a question, and "no" is an answer


def command(line: str) -> str:
    """The command that a line runs: "topology apply"."""
    program, *words = shlex.split(line)
    if program == "rabbitmqctl":
        return f"{program} {words[0]}"
    assert program == "attune-ops", line
    return next(name for i in range(len(words), 0, -1) if (name := " ".join(words[:i])) in ALL)


def printed(report: Report) -> dict[str, tuple[Finding, str]]:
    """What the findings print, by the check's code and the command."""
    return {
        f"{f.code} {command(line)}": (f, line)
        for f in report.findings
        for line in map(str, (*f.commands, *f.inspect_commands))
    }


def look_further(place: Place, report: Report, run: Run, done: set[str]) -> None:
    """Runs each line that only looks, one of each kind; `done` are the kinds that have been run."""
    for what, (finding, line) in printed(report).items():
        if line not in map(str, finding.inspect_commands) or what in done:
            continue
        done.add(what)
        said = run.shell(line, place.environment)
        allowed = {_exit.OK, _exit.FOUND} if command(line) in ASK else {_exit.OK}
        assert said.returncode in allowed, f"{what}: {line}\n{said.stdout}{said.stderr}"
        assert said.stdout, line
        assert "Traceback" not in said.stderr


def proves(what: str, place: Place, report: Report, run: Run) -> None:
    """Runs the line that a report prints, "AT204 topology apply"; for states that a test of its own builds."""
    assert what in printed(report), f"{what}: {sorted(printed(report))}"
    look_further(place, report, run, set(printed(report)) - {what})


def fix(place: Place, report: Report, run: Run, only: tuple[str, ...] = ()) -> None:
    """Runs every command that fixes, as printed, until the findings that print one are gone."""
    broken = {f.key for f in report.findings if f.commands}
    for finding in report.findings:
        for line in map(str, finding.commands):
            done = run.shell(line, place.environment)
            assert done.returncode == _exit.OK, f"{finding.code}: {line}\n{done.stdout}{done.stderr}"
    if broken:
        left: list[object] = []

        def gone() -> bool:
            left[:] = broken & {f.key for f in place.look(only).findings}
            return not left

        try:
            eventually(gone)
        except AssertionError as e:
            raise AssertionError(f"{e}: {left}") from None
