"""The wheel alone, in a clean environment for each extra: the README's commands, a report, a notebook, `serve`.

It runs on the Python of the tests; with `ATTUNE_OPS_TEST_PYTHONS=PATH:…` also on others (an interpreter, or a root
folder with `/usr/bin/python3`), where pip installs the wheel and all that it requires: minutes for each.
"""

from __future__ import annotations

import json
import re
import secrets
import shlex
import signal
import subprocess
from collections.abc import Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import click
import pytest

from attune_ops.cli._main import root
from attune_ops.model.version import __version__
from tests import postgres as pg
from tests.live.places import Place
from tests.wheel import EXTRAS, ROOT, Installed, Python, build, install, pythons, readme_commands
from tests.world import Broker, eventually

pytestmark = pytest.mark.slow

README = (ROOT / "README.md").read_text()
WORKERS = """INSERT INTO {schema}.worker (name, worker_type, worker_role, status, last_heartbeat, created)
SELECT name, 'local', 'action', 'active', now(), now() - interval '1 year' FROM unnest(ARRAY['w1', 'w2']) AS name"""


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return build(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="module")
def place(broker: Broker, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """January's services, with a registry in SQLite."""
    with broker.vhost() as vhost, closing(Place(vhost, tmp_path_factory.mktemp("place"))) as made:
        yield made.populate()


def environments(extras: Iterable[str]) -> Iterator[Any]:
    """Each extra on each Python; on ours without `all`, which is the sum of the others there."""
    for python in pythons():
        for extra in extras:
            if not (python.ours and extra == "all"):
                yield pytest.param(python, extra, id=f"{'ours' if python.ours else python.path}-{extra or 'core'}")


@pytest.fixture
def installed(wheel: Path, extra: str, python: Python, tmp_path: Path) -> Installed:
    # Below the root folder of an interpreter, where there is one.
    folder = tmp_path if python.root is None else python.root / "tmp" / secrets.token_hex(6)
    folder.mkdir(exist_ok=True)
    return install(wheel, extra, python, folder)


@pytest.fixture
def target(place: Place, python: Python, installed: Installed) -> dict[str, str]:
    """The variables that point there, with a registry in SQLite that the interpreter can read."""
    place.beat()
    file = installed.folder / "registry.sqlite"
    file.write_bytes(Path(place.database.removeprefix("sqlite:///")).read_bytes())
    inside = Path("/", file.relative_to(python.root or "/"))
    return {
        "ATTUNE_OPS_AMQP_URL": place.vhost.amqp_url,
        "ATTUNE_OPS_MANAGEMENT_URL": place.vhost.management_url,
        "ATTUNE_OPS_DATABASE_URL": f"sqlite:///{inside}",
    }


@pytest.mark.parametrize(("python", "extra"), list(environments(EXTRAS)))
def test_the_extra_does_its_job(extra: str, installed: Installed, target: dict[str, str]) -> None:
    def done(*words: str, status: int = 0) -> subprocess.CompletedProcess[str]:
        made = installed(*words, env=target)
        assert made.returncode == status, (words, made.stdout[-2000:], made.stderr[-2000:])
        # A kernel prints one of its own where a root folder has no /proc.
        assert "Traceback" not in made.stderr or "IPKernelApp" in made.stderr, words
        return made

    assert done("attune-ops", "version").stdout.strip().endswith(__version__)
    assert "<html" in done("attune-ops", "doctor", "--format", "html").stdout
    done("attune-ops", "report", "--output", "report.html")
    assert "worker.1.executions" in (installed.folder / "report.html").read_text()
    if not extra:
        without_a_broker(installed)
    has = {e for e in EXTRAS if extra in (e, "all") or (e, extra) == ("notebook", "jupyter")}

    notebook = ("notebook", "run", "first-look", "--output", "out.ipynb")
    if "jupyter" in has:
        done("attune-ops", *notebook)
        assert "worker.1.executions" in (installed.folder / "out.ipynb").read_text()
    else:
        assert "install the extra jupyter" in done("attune-ops", *notebook, status=2).stderr
    frame = "import attune_ops; print(len(attune_ops.connect().workers().frame))"
    if "notebook" in has:
        assert done("python", "-c", frame).stdout == "2\n"
        board = "import attune_ops; print(type(attune_ops.connect().dashboard()).__name__)"
        assert done("python", "-c", board).stdout.strip()
    else:
        assert "install the extra notebook" in installed("python", "-c", frame, env=target).stderr
    record = ("history", "record", "--folder", "readings", "--for", "0s")
    if "history" in has:
        done("attune-ops", *record)
        assert "worker.1.executions" in done("attune-ops", "history", "show", "--folder", "readings").stdout
    else:
        assert "install the extra history" in done("attune-ops", *record, status=2).stderr
    if "monitoring" in has:
        serves(installed, target)
        done("python", "-c", "import attune_ops.monitoring.live, bcrypt")
    elif extra != "jupyter":  # prometheus-client comes with Jupyter
        assert "install the extra monitoring" in done("attune-ops", "serve", status=2).stderr


def without_a_broker(installed: Installed) -> None:
    """The data of the package: every page, notebook and topology, the schema."""

    def printed(*words: str) -> str:
        done = installed(*words)
        assert done.returncode == 0, (words, done.stderr)
        return done.stdout

    (installed.folder / "defs.json").write_text(printed("attune-ops", "topology", "export"))
    html = ("doctor", "--from", "defs.json", "--format", "html", "--fail-on", "never")
    assert "<html" in printed("attune-ops", *html)
    read = "import json; from attune_ops.doctor.documentation import documentation, pages"
    read += "\nprint(json.dumps({t: getattr(documentation(t), 'text', '') for t in pages()['page']}))"
    pages = {page.stem: page.read_text() for folder in ("docs", "docs/howto") for page in (ROOT / folder).glob("*.md")}
    assert json.loads(printed("python", "-c", read)) == pages
    assert "06-orphans" in printed("attune-ops", "notebook", "list")
    assert "[env.dev]" in printed("attune-ops", "config", "init")
    assert json.loads(printed("attune-ops", "config", "schema"))["$schema"]
    assert printed("attune-ops", "topology", "graph", "--format", "svg").startswith("<svg")


def serves(installed: Installed, target: dict[str, str]) -> None:
    """`serve` answers on a port of its own and ends at SIGTERM with status 0."""
    command, environment = installed.command("attune-ops", "serve", "--port", "0", env=target)
    with (installed.folder / "serve.log").open("w+") as log:
        process = subprocess.Popen(command, env=environment, cwd=installed.folder, stdout=log, stderr=log)
        try:
            said = installed.folder / "serve.log"
            address = eventually(lambda: re.search(r"http://127\.0\.0\.1:\d+", said.read_text()), within=60)
            eventually(lambda: answers(f"{address[0]}/readyz"), within=60)
            with urlopen(f"{address[0]}/metrics", timeout=30) as answer:
                text = answer.read().decode()
            assert re.search(r'attune_ops_worker_ready\{[^}]*worker="w1"[^}]*\} 1', text), text[:2000]
        finally:
            process.send_signal(signal.SIGTERM)
            assert process.wait(60) == 0


def answers(url: str) -> bool:
    try:
        with urlopen(url, timeout=10) as answer:
            return bool(answer.status == 200)
    except (URLError, OSError):
        return False


@pytest.mark.parametrize(("python", "extra"), list(environments(["", "postgres"])))
def test_every_command_of_the_readme(
    extra: str, installed: Installed, target: dict[str, str], postgres: pg.Server
) -> None:
    commands = readme_commands(README)
    assert len(commands) >= 10
    named = set(re.findall(r"^export (\w+)=", README, re.MULTILINE))
    assert {"ATTUNE_OPS_AMQP_URL", "ATTUNE_OPS_DATABASE_URL"} == named <= set(target)
    assert {line.split()[1] for line in commands} <= set(root.list_commands(click.Context(root)))
    with postgres.database(pg.SCHEMA, WORKERS) as database:
        if extra == "postgres":
            target["ATTUNE_OPS_DATABASE_URL"] = database
        management = f'management_url = "{target["ATTUNE_OPS_MANAGEMENT_URL"]}"'
        # The configuration file is written first, as the README says, and gets the addresses.
        for line in sorted(commands, key=lambda command: "config init" not in command):
            shown = re.sub(r"amqp://\S+", target["ATTUNE_OPS_AMQP_URL"], line)
            shown = re.sub(r"postgresql://\S+", target["ATTUNE_OPS_DATABASE_URL"], shown)
            words = shlex.split(shown, comments=True)
            if words[1:3] == ["lab", "run"] and (extra or installed.python.root is not None):
                continue  # once is enough, and there is no RabbitMQ in a root folder
            env = {} if "--env" in words or "lab" in words else target
            done = installed(*words, env=env)
            assert done.returncode == 0, (line, done.stdout[-2000:], done.stderr[-2000:])
            assert done.stdout + done.stderr, line
            if "init" in words:
                with (installed.folder / "attune-ops.toml").open("a") as file:
                    file.write(
                        f'\n[env.prod]\namqp_url = "{target["ATTUNE_OPS_AMQP_URL"]}"\n{management}\n'
                        f'database_url = "{target["ATTUNE_OPS_DATABASE_URL"]}"\n'
                    )
