"""What a finding prints for a lab: `rabbitmqctl` for the lab's own nodes, and how a stand-in worker is started."""

from __future__ import annotations

from pathlib import Path

import msgspec

from attune_ops.doctor.findings import Finding, Report
from attune_ops.installation.config.running_lab import RunningLab, read
from attune_ops.model.command_lines import CommandLine, line
from attune_ops.model.worker_process import GONE

OF_A_PROCESS = ("AT401", "AT403", "AT409")  # their fix is a process that somebody has to start


def on_lab(report: Report, name: str) -> Report:
    """The report with commands that reach this lab; as it is where the lab is gone by now.

    A lab has its own epmd and Erlang cookie: without them `rabbitmqctl` reaches another broker of the host, or none.
    """
    lab = read(name)
    if lab is None:
        return report
    return msgspec.structs.replace(report, findings=tuple(_on_lab(f, lab) for f in report.findings))


def _on_lab(found: Finding, lab: RunningLab) -> Finding:
    starts = found.code in OF_A_PROCESS and _process(found) in GONE
    down, again = line("lab", "down", "--name", lab.name), line("lab", "run", "--name", lab.name, "--keep")
    hint = f" On a lab no command starts one stand-in again; these restart the whole lab: {down}; {again}"
    return msgspec.structs.replace(
        found,
        remedy=found.remedy + hint if starts else found.remedy,
        commands=tuple(_for_lab(c, lab) for c in found.commands),
        inspect_commands=tuple(_for_lab(c, lab) for c in found.inspect_commands),
    )


def _process(found: Finding) -> object:
    """The state of the process as the check wrote it: of several it is the same."""
    return found.evidence.get("each", [found.evidence])[0].get("process")


def _for_lab(command: CommandLine, lab: RunningLab) -> CommandLine:
    if command.program != "rabbitmqctl":
        return command
    where = [f"{name}={value}" for name, value in lab.ctl_environment.items()]
    return CommandLine((*where, str(Path(lab.server).with_name("rabbitmqctl")), *command.words), "env")
