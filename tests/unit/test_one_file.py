"""Adding a topology, a check or a command is one file, and no edit elsewhere: shown with a temporary folder."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

TOPOLOGY = """
name = "mine"
exchanges = [{ name = "mine.events", type = "topic" }]
"""

CHECK = '''
from collections.abc import Iterator

from attune_ops.doctor.checks import check
from attune_ops.model.facts import Facts
from attune_ops.doctor.findings import Problem, Severity, Subject


@check("AT999", "mine", group="design", title="my own question is answered", severity=Severity.WARNING)
def mine(facts: Facts) -> Iterator[Problem]:
    """Asks my own question."""
    yield Problem(Subject("broker", "mine"), "it is not")
'''

COMMAND = '''
"""`attune-ops mine`."""

from attune_ops.cli import _base
from attune_ops.cli._run import pass_cli


@_base.command(example="attune-ops mine")
@pass_cli
def command(cli):
    """Says that it is mine."""
    cli.write("mine")
'''

RENDERER = """
def as_table(value):
    return "mine in words"


def as_json(value):
    return {"schema": "mine/1"}
"""

# A folder is appended to a package's path as an installation's own packaging would do it.
PROGRAM = """
import importlib, sys
for package in ("model.topologies", "doctor.checks", "cli", "render"):
    importlib.import_module(f"attune_ops.{package}").__path__.append(f"{sys.argv[1]}/{package.rpartition('.')[2]}")
exec(sys.argv[2])
"""


def python(folder: Path, code: str) -> str:
    """Runs code in a fresh interpreter in which the folder is on the packages' paths."""
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder), code],
        capture_output=True,
        text=True,
        check=False,
        env=os.environ | {"COLUMNS": "80"},
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def add(folder: Path, name: str, text: str) -> None:
    path = folder / name
    path.parent.mkdir()
    path.write_text(text)


def test_a_topology(tmp_path: Path) -> None:
    add(tmp_path, "topologies/mine.toml", TOPOLOGY)
    code = "from attune_ops.model.topologies import load, names; print(*names(), load('mine').exchanges[0].name)"
    assert python(tmp_path, code) == "attune-0.6 attune-2026-01 attune-2026-09 mine mine.events"


def test_a_check(tmp_path: Path) -> None:
    add(tmp_path, "checks/mine.py", CHECK)
    code = (
        "from attune_ops.doctor.checks import all_checks; print([c.title for c in all_checks() if c.code == 'AT999'])"
    )
    assert python(tmp_path, code) == "['my own question is answered']"


def test_a_command(tmp_path: Path) -> None:
    add(tmp_path, "cli/mine.py", COMMAND)
    assert python(tmp_path, "from attune_ops.cli._main import main; main(['mine'])") == "mine"
    shown = python(tmp_path, "from attune_ops.cli._main import main; main(['--help'])")
    assert "mine" in shown
    assert "Says that it is mine." in shown


def test_a_value_that_shows_itself(tmp_path: Path) -> None:
    add(tmp_path, "render/view_mine.py", RENDERER)
    code = """
from attune_ops.model.display import Shown
from attune_ops.render import show, formats
class Mine(Shown): pass
print(repr(Mine()), *formats(Mine()))
show(Mine(), "json")
"""
    assert python(tmp_path, code) == 'mine in words table json text html\n{\n  "schema": "mine/1"\n}'
