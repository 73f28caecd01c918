"""`scripts/mutation` tells a mutant that a test notices from one that none notices and one that none reaches."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

CODE = """LIMIT = 3
SPARE = 3

def small(n):
    return n < LIMIT

def unused(n):
    return n + 1

def cautious(apply=False):
    return apply
"""
TESTS = """from limits import small

def test_small():
    assert small(2) and not small(3)
"""
SIGNATURE = """import inspect
from limits import cautious

def test_default():
    assert inspect.signature(cautious).parameters["apply"].default is False
"""
RUN = """import json, sys
from mutations.mutants import Mutant
from mutations.plugin import run
code = open("limits.py").read()
changes = json.loads(sys.argv[1])
wanted = [Mutant("limits.py", line, f, a, b, code.replace(a, b), line) for line, f, a, b in changes]
print("\\n" + json.dumps(list(run(wanted, ["test_it.py", "test_default.py"]).values())))
"""


def test_outcomes(tmp_path: Path) -> None:
    (tmp_path / "limits.py").write_text(CODE)
    (tmp_path / "test_it.py").write_text(TESTS)
    (tmp_path / "test_default.py").write_text(SIGNATURE)
    (tmp_path / "pytest.ini").write_text("[pytest]\npythonpath = .\n")
    changes = [
        (5, "small", "n < LIMIT", "n <= LIMIT"),
        (5, "small", "n < LIMIT", "not n >= LIMIT"),
        (1, "", "LIMIT = 3", "LIMIT = 2"),
        (2, "", "SPARE = 3", "SPARE = 4"),
        (8, "unused", "n + 1", "n - 1"),
        (10, "", "apply=False", "apply=True"),
    ]
    done = subprocess.run(
        [sys.executable, "-c", RUN, json.dumps(changes)],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(Path(__file__).parents[2] / "scripts")},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    outcomes = ["killed", "survived", "killed", "survived", "not reached", "killed"]
    assert json.loads(done.stdout.splitlines()[-1]) == outcomes
