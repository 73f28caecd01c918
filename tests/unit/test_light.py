"""What is used in a probe or at a prompt loads nothing that a notebook or a broker needs."""

from __future__ import annotations

import subprocess
import sys

import pytest

HEAVY = {"pandas", "numpy", "ipywidgets", "pika", "requests", "sqlalchemy", "jinja2", "altair", "rich", "IPython"}


@pytest.mark.parametrize(
    "code",
    [
        "import attune_ops",
        "import attune_ops; attune_ops.connect; attune_ops.Ops; attune_ops.AttuneOpsError",
        "from attune_ops.__main__ import main; main()",
        "from attune_ops.cli._main import main; main(['--help'])",
        "from attune_ops.cli._main import main; main(['queues', '--help'])",
        "from attune_ops.cli._main import main; main(['completion', 'zsh'])",
    ],
)
def test_stays_light(code: str) -> None:
    program = f"import sys\nsys.argv[1:] = ['--version']\n{code}\nprint(*(m.split('.')[0] for m in sys.modules))"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert set(done.stdout.splitlines()[-1].split()) & HEAVY == set()


def test_the_version_loads_no_library() -> None:
    program = "import sys; sys.argv[1:] = ['--version']; from attune_ops.__main__ import main; main()\n"
    program += "print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"msgspec", "click", "typing_extensions"} & set(done.stdout.split())


def test_the_list_of_commands_imports_none_that_a_function_makes() -> None:
    program = "from attune_ops.cli._main import main; main(['--help'])\nimport sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    loaded = set(done.stdout.splitlines()[-1].split())
    assert not {"attune_ops.cli.doctor", "attune_ops.cli.drill", "attune_ops.cli.lab", "msgspec"} & loaded


def test_a_probe_of_postgresql_loads_no_event_loop() -> None:
    """psycopg 3 does, which is most of what it takes to start."""
    program = "import attune_ops.installation.timed_postgresql, sys; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert not {"asyncio", "psycopg", "concurrent.futures"} & set(done.stdout.split())
