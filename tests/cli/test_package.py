"""The package as it is installed: its wheel, what it imports, and what it says where an extra is missing."""

from __future__ import annotations

import ast
import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import packages_distributions
from pathlib import Path

from attune_ops.model.version import __version__

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]


def declared() -> set[str]:
    lines = [*PROJECT["dependencies"], *(x for extra in PROJECT["optional-dependencies"].values() for x in extra)]
    return {re.split(r"[\[<>=!~ ]", line)[0].lower().replace("_", "-") for line in lines}


def test_what_is_imported_is_declared() -> None:
    imported = set[str]()
    for file in (ROOT / "attune_ops").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text())):
            if isinstance(node, ast.Import):
                imported |= {alias.name.partition(".")[0] for alias in node.names}
            elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
                imported.add(node.module.partition(".")[0])
    distributions = packages_distributions()
    foreign = imported - set(sys.stdlib_module_names) - {"attune_ops"}
    lacking = {
        name for name in foreign if not {d.lower().replace("_", "-") for d in distributions.get(name, [])} & declared()
    }
    # These come with what is declared: urllib3 with requests, MarkupSafe with Jinja2, the last five with Jupyter.
    # fsspec is for a history in S3, and its absence is an error that names it.
    assert lacking <= {
        "urllib3",
        "markupsafe",
        "fsspec",
        "IPython",
        "traitlets",
        "jupyter_client",
        "ipykernel",
        "numpy",
    }


def test_the_changelog_has_a_dated_section_of_this_version() -> None:
    text = (ROOT / "CHANGELOG.md").read_text()
    assert re.search(rf"^## \[{re.escape(__version__)}\] - \d{{4}}-\d\d-\d\d$", text, re.MULTILINE)


def test_without_the_driver_the_doctor_could_not_look() -> None:
    program = (
        "import sys; sys.modules['psycopg2'] = None\n"
        "from attune_ops.cli._main import main\n"
        "sys.exit(main(['doctor', '--only', 'AT103', '--json', '--amqp-url', 'amqp://u:p@127.0.0.1:9/',"
        " '--database-url', 'postgresql://u:p@127.0.0.1:9/x']))"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=60)
    report = json.loads(done.stdout)
    assert done.returncode == 3, done.stderr
    assert report["findings"] == []
    (check,) = report["checks"]
    assert check["status"] == "skipped"
    assert "install the extra postgres" in check["reason"]
    assert "Start the database" not in done.stdout
