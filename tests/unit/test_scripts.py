"""The scripts of a fresh clone, as far as they can be tried without installing anything."""

from __future__ import annotations

import contextlib
import importlib.machinery
import os
import re
import shutil
import subprocess
import sys
import tomllib
import types
from collections import Counter
from pathlib import Path

import pytest

from tests.world import eventually

ROOT = Path(__file__).parents[2]
FILES = [p for p in (*(ROOT / "scripts").iterdir(), ROOT / ".ci" / "run") if p.is_file()]
SHELL = [p for p in FILES if p.read_bytes().startswith(b"#!/")]


def program(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)


def setup(call: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """Calls a function of scripts/_setup.sh."""
    return subprocess.run(
        ["bash", "-c", f"set -euo pipefail; . scripts/_setup.sh; {call}"],
        cwd=ROOT,
        env={"PATH": os.environ["PATH"]} | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("path", SHELL, ids=lambda p: p.name)
def test_each_script_is_executable_and_parses(path: Path) -> None:
    if b"python" in path.read_bytes().split(b"\n", 1)[0]:
        compile(path.read_text(), str(path), "exec")
    else:
        subprocess.run(["bash", "-n", str(path)], check=True)
    assert path.name.startswith("_") or os.access(path, os.X_OK)


@pytest.mark.parametrize(
    ("words", "status", "calls"),
    [
        ([], 0, ["true:", "true:--nightly"]),
        ([], 1, ["true:"]),
        (["-k", "reap"], 0, ["true:-k reap"]),
    ],
    ids=["all", "failed", "some"],
)
def test_ci_runs_the_tests_and_nothing_else(tmp_path: Path, words: list[str], status: int, calls: list[str]) -> None:
    """With another `scripts/test`, which notes how it is called, and nothing else beside it."""
    for folder in (".ci", "scripts"):
        (tmp_path / folder).mkdir()
    run, test = tmp_path / ".ci" / "run", tmp_path / "scripts" / "test"
    shutil.copy(ROOT / ".ci" / "run", run)
    test.write_text(f'#!/bin/sh\necho "$CI:$*" >>calls\nexit {status}\n')
    test.chmod(0o755)
    env = {name: value for name, value in os.environ.items() if name != "CI"}
    assert subprocess.run([run, *words], env=env, check=False).returncode == status
    assert (tmp_path / "calls").read_text().splitlines() == calls


def processes_of(session: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):  # it ended meanwhile
            fields = stat.read_text().rpartition(")")[2].split()
            if int(fields[3]) == session and fields[0] != "Z":
                found.append(int(stat.parent.name))
    return found


def test_the_load_generator_ends_with_the_tests() -> None:
    # As `scripts/test --load` does: the shell becomes another program, and keeps its process id.
    started = subprocess.Popen(
        ["bash", "-c", f"{sys.executable} scripts/_load & exec cat"],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        start_new_session=True,
    )
    assert started.stdin
    all_of_them = 1 + 1 + (os.cpu_count() or 1) + 1  # cat, the generator, a process for each core, one for the disk
    assert eventually(lambda: len(processes_of(started.pid)) == all_of_them)
    started.stdin.close()
    started.wait()
    assert eventually(lambda: not processes_of(started.pid))


def test_a_python_that_is_too_old_is_passed_over(tmp_path: Path) -> None:
    program(tmp_path / "python3", '#!/bin/sh\n[ "$1" = --version ] && echo Python 3.9.2\nexit 1\n')
    program(tmp_path / "python3.12", "#!/bin/sh\nexit 0\n")
    path = f"{tmp_path}:/usr/bin:/bin"
    assert setup("python_new_enough", PATH=path).stdout.strip() == str(tmp_path / "python3.12")
    failed = setup("python_new_enough", PATH=path, PYTHON="python3")
    assert failed.returncode == 1
    assert "needs Python 3.11 or newer; found: Python 3.9.2" in failed.stderr


def test_nobody_becomes_root_by_surprise(tmp_path: Path) -> None:
    program(tmp_path / "id", "#!/bin/sh\necho 1000\n")
    program(tmp_path / "apt-get", "#!/bin/sh\ntouch called\n")
    program(tmp_path / "sudo", "#!/bin/sh\nexit 1\n")  # would ask for a password
    refused = setup("debian_install rabbitmq-server", PATH=f"{tmp_path}:/usr/bin:/bin")
    assert refused.returncode == 1
    assert refused.stderr == ""  # nothing is announced that does not happen


@pytest.mark.parametrize("name", ["requirements.lock", "requirements-dev.lock"])
def test_the_lock_names_every_dependency_with_its_hashes_and_no_host(name: str) -> None:
    text = (ROOT / name).read_text()
    locked = {m[1].lower() for m in re.finditer(r"^([A-Za-z0-9_.-]+)==", text, re.MULTILINE)}
    entries = re.split(r"^(?=[a-z0-9])", text, flags=re.MULTILINE | re.IGNORECASE)[1:]
    assert all("--hash=sha256:" in entry for entry in entries)
    assert not re.search(r"://|^-", text, re.MULTILINE)
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    wanted = [*project["project"]["dependencies"], *project["dependency-groups"]["build"]]
    wanted += [d for extra in project["project"]["optional-dependencies"].values() for d in extra]
    wanted += project["dependency-groups"]["dev"] if "dev" in name else []
    names = {re.match(r"[A-Za-z0-9_.-]+", d)[0].lower() for d in wanted} - {"attune-ops"}  # type: ignore[index]
    assert names <= locked


def test_the_two_locks_agree() -> None:
    def pins(name: str) -> dict[str, str]:
        return dict(re.findall(r"^(\S+)==(\S+)", (ROOT / name).read_text(), re.MULTILINE))

    small, large = pins("requirements.lock"), pins("requirements-dev.lock")
    assert small.items() <= large.items()


def test_a_container_gets_the_labs_folder_and_variables(tmp_path: Path) -> None:
    program(tmp_path / "docker", '#!/bin/sh\n[ "$1" = run ] && printf "%s\\n" "$HOME" "$@"\nexit 0\n')
    path = f"{tmp_path}:/usr/bin:/bin"
    folder = tmp_path / "made"
    subprocess.run(
        [ROOT / "scripts" / "_container", "docker", str(folder)], env={"PATH": path, "HOME": "/home/me"}, check=True
    )
    lab = {"PATH": path, "HOME": "/lab", "ATTUNE_OPS_LAB_FOLDER": "/lab", "RABBITMQ_NODENAME": "n", "SECRET": "s"}
    done = subprocess.run(
        [folder / "sbin" / "rabbitmq-server", "-x"], env=lab, capture_output=True, text=True, check=True
    )
    home, *arguments = done.stdout.splitlines()
    assert home == "/home/me"  # the tool's own
    line = " ".join(arguments)
    assert "--volume /lab:/lab" in line
    assert "--env RABBITMQ_NODENAME" in line
    assert "--env HOME=/lab" in line
    assert "SECRET" not in line
    assert arguments[-1] == "-x"


def test_rabbitmq_knows_its_versions() -> None:
    done = subprocess.run([ROOT / "scripts" / "rabbitmq", "install", "2.8"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "scripts/rabbitmq install 4.0|4.3" in done.stderr


def test_what_the_quick_run_names_is_there() -> None:
    found = re.search(r"^at_once=\((.+)\)$", (ROOT / "scripts" / "test").read_text(), re.MULTILINE)
    assert found is not None
    assert [name for name in found[1].split() if not list((ROOT / name).rglob("test_*.py"))] == []


@pytest.mark.parametrize("words", [["--server", "/nowhere"], ["--server=/nowhere"]])
def test_a_server_that_is_not_there_is_one_line(words: list[str]) -> None:
    done = subprocess.run([ROOT / "scripts" / "test", *words], capture_output=True, text=True, stdin=subprocess.DEVNULL)
    assert done.returncode == 2
    assert "no rabbitmq-server in /nowhere" in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_the_compatibility_page_says_what_was_run(tmp_path: Path) -> None:
    module = importlib.machinery.SourceFileLoader("compatibility", str(ROOT / "scripts" / "compatibility"))
    found = types.ModuleType("compatibility")
    found.__file__ = module.path
    module.exec_module(found)
    (tmp_path / "r.xml").write_text(
        '<testsuites><testsuite><testcase classname="tests.live.a" name="t1"/>'
        '<testcase classname="tests.live.a" name="t2"><failure message="assert 1 == 2"/></testcase>'
        '<testcase classname="tests.live.a" name="t3"><skipped message="needs RabbitMQ 4"/></testcase>'
        "</testsuite></testsuites>"
    )
    run = {"version": "4.0.5", "erlang": "27.3", "when": "2026-11-29, abc", **found.results(tmp_path / "r.xml")}
    page = found.page([run], ["tests/live"])
    assert "| 4.0.5 | 27.3 | 1 | 1 | 1 | 2026-11-29, abc, `tests/live` |" in page
    assert "| 3.13 |  | not run |  |  |" in page
    assert "- failed: `tests/live/a.py::t2`: assert 1 == 2" in page
    assert "- skipped (1): needs RabbitMQ 4" in page
    # Another release's run, and then the first one's, this time without a failure.
    both = found.page([run | {"version": "4.3.6"}], ["tests/live"], page)
    assert all(line in both for line in page.splitlines() if "4.3 " not in line)
    assert both.count("t2`: assert 1 == 2") == 2
    last = found.page([run | {"version": "4.0.6", "failed": [], "skipped": Counter()}], ["tests/unit"], both)
    assert "| 4.0.6 | 27.3 | 1 | 0 | 0 | 2026-11-29, abc, `tests/unit` |" in last
    assert "4.0.5" not in last
    assert "## 4.0" not in last
    assert last.count("t2`: assert 1 == 2") == last.count("## 4.3.6") == 1
