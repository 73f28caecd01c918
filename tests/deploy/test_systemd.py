"""The units of deploy/systemd."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.cli.commands import parsed
from tests.conftest import lacking

UNITS = Path(__file__).parents[2] / "deploy" / "systemd"
SERVICES = sorted(UNITS.glob("*.service"))


def analyze(*words: str | Path) -> subprocess.CompletedProcess[str]:
    if shutil.which("systemd-analyze") is None:
        lacking("systemd-analyze (Debian package systemd) is not installed")
    return subprocess.run(["systemd-analyze", *words], capture_output=True, text=True, check=False)


def test_systemd_accepts_every_unit(tmp_path: Path) -> None:
    program = tmp_path / "attune-ops"
    program.write_text("#!/bin/sh\n")
    program.chmod(0o755)
    for unit in UNITS.glob("attune-ops-*"):
        (tmp_path / unit.name).write_text(unit.read_text().replace("/opt/attune-ops/bin/attune-ops", str(program)))
    done = analyze("verify", *sorted(tmp_path.glob("*.service")), *sorted(tmp_path.glob("*.timer")))
    complaints = [line for line in done.stderr.splitlines() if str(tmp_path) in line or "attune-ops" in line]
    assert (done.returncode, complaints) == (0, [])


@pytest.mark.parametrize("unit", SERVICES, ids=lambda u: u.stem)
def test_each_service_is_hardened(unit: Path) -> None:
    done = analyze("security", "--offline=true", "--threshold=20", unit)
    assert done.returncode == 0, done.stdout[-400:]


@pytest.mark.parametrize("unit", SERVICES, ids=lambda u: u.stem)
def test_each_service_runs_a_command_that_there_is(unit: Path) -> None:
    (line,) = re.findall(r"^ExecStart=\S+/attune-ops (.+)$", unit.read_text(), re.MULTILINE)
    assert "--apply" not in parsed(shlex.split(line))


def test_the_override_that_deletes_has_the_urls_of_a_user_that_may_delete() -> None:
    """An empty value empties a list of systemd; without it the new one is added to that of the unit."""
    unit = (UNITS / "attune-ops-reap.service").read_text()
    override = re.findall(r"^#   (\S+)=(.*)$", unit, re.MULTILINE)
    assert [key for key, value in override if not value] == ["ExecStart", "EnvironmentFile"]
    given = dict(override)
    assert parsed(shlex.split(given["ExecStart"])[1:])[-1] == "--apply"
    assert given["EnvironmentFile"] != re.findall(r"^EnvironmentFile=(.+)$", unit, re.MULTILINE)[0]
    assert given["EnvironmentFile"] in unit.partition("#   [Service]")[0]  # how it is made


def test_the_services_have_one_state_folder_and_one_user() -> None:
    """Without a name each unit has a user of its own, and its start takes the folder from others (systemd.exec)."""
    found = {tuple(re.findall(r"^((?:User|StateDirectory)=.+)$", u.read_text(), re.MULTILINE)) for u in SERVICES}
    assert found == {("User=attune-ops", "StateDirectory=attune-ops")}


def test_each_timer_starts_a_service() -> None:
    assert {t.stem for t in UNITS.glob("*.timer")} == {s.stem for s in SERVICES} - {"attune-ops-serve"}
