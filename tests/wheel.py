"""The built wheel in clean environments: what it declares is there, and nothing else.

On the Python of the tests an environment gets exactly the distributions that the wheel's metadata asks for, linked from
the one of the tests: no network, and no package that happens to be there. Other Pythons, of `ATTUNE_OPS_TEST_PYTHONS`,
get it by `pip install 'WHEEL[EXTRA]'`, as a person installs it.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from importlib.metadata import Distribution, PathDistribution, distribution, packages_distributions
from pathlib import Path
from zipfile import Path as ZipPath

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parents[1]
EXTRAS = ("", "postgres", "notebook", "jupyter", "monitoring", "history", "all")


@dataclass(frozen=True)
class Python:
    """An interpreter: of the tests, another one, or the `python3` of a root folder (debootstrap), which needs root."""

    path: Path

    @property
    def ours(self) -> bool:
        """Whether it is that of the tests."""
        return self.path == Path(sys.executable)

    @property
    def root(self) -> Path | None:
        """The root folder that it is in."""
        return self.path if self.path.is_dir() else None

    @property
    def words(self) -> list[str]:
        """The words before its arguments."""
        return [str(self.path)] if self.root is None else ["/usr/sbin/chroot", str(self.root), "/usr/bin/python3"]

    @property
    def version(self) -> str:
        """As in 3.14.2."""
        command = [*self.words, "-c", "import platform; print(platform.python_version())"]
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()


def pythons() -> Iterator[Python]:
    """That of the tests, and those of `ATTUNE_OPS_TEST_PYTHONS`, paths with `:` between them."""
    yield Python(Path(sys.executable))
    others = os.environ.get("ATTUNE_OPS_TEST_PYTHONS", "")
    yield from (Python(Path(other)) for other in others.split(":") if other)


def build(folder: Path) -> Path:
    """The wheel of this project, made in `folder`."""
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check", "-q"]
    command = [*pip, "wheel", "--no-deps", "--no-build-isolation", "-w", str(folder), str(ROOT)]
    subprocess.run(command, check=True, timeout=120)
    (wheel,) = folder.glob("attune_ops-*.whl")
    return wheel


@dataclass(frozen=True)
class Installed:
    """An environment with the wheel and one extra; `folder` is where its commands run."""

    python: Python
    folder: Path

    def __call__(
        self, *words: str, env: dict[str, str] | None = None, timeout: float = 180
    ) -> subprocess.CompletedProcess[str]:
        """Runs a program of the environment: `attune-ops` or `python`."""
        command, environment = self.command(*words, env=env)
        return subprocess.run(
            command, env=environment, cwd=self.folder, capture_output=True, text=True, check=False, timeout=timeout,
            stdin=subprocess.DEVNULL,
        )  # fmt: skip

    def command(self, program: str, *words: str, env: dict[str, str] | None = None) -> tuple[list[str], dict[str, str]]:
        """The words and the environment of a process; nothing of the tests' own is in it."""
        inside = Path("/", self.folder.relative_to(self.python.root or "/"))
        environment = {
            "PATH": f"{inside}/env/bin:/usr/local/bin:/usr/bin:/bin", "HOME": f"{inside}", "LANG": "C.UTF-8",
            "XDG_STATE_HOME": f"{inside}/state", "XDG_CONFIG_HOME": f"{inside}/config", "NO_COLOR": "1", **(env or {}),
        }  # fmt: skip
        line = [f"{inside}/env/bin/{program}", *words]
        if self.python.root is not None:
            line = [
                "/usr/sbin/chroot",
                str(self.python.root),
                "/bin/sh",
                "-c",
                f'cd {inside} && exec "$@"',
                "sh",
                *line,
            ]
        return line, environment


def install(wheel: Path, extra: str, python: Python, folder: Path) -> Installed:
    """A clean environment in `folder`, which is below the root of the Python, with the wheel and this extra."""
    made = Installed(python, folder)
    inside = Path("/", folder.relative_to(python.root or "/"))
    (folder / wheel.name).write_bytes(wheel.read_bytes())
    subprocess.run([*python.words, "-m", "venv", *(("--without-pip",) if python.ours else ()), f"{inside}/env"],
                   check=True, timeout=120)  # fmt: skip
    if python.ours:
        (site,) = (folder / "env" / "lib").glob("python3.*/site-packages")
        shared = {name for name, owners in packages_distributions().items() if len(set(owners)) > 1}
        for found in closure(wheel, extra):
            link(found, site, shared)
        pip = [sys.executable, "-m", "pip", "--python", f"{folder}/env/bin/python"]
        command = [*pip, "install", "-q", "--no-deps", "--no-index", str(folder / wheel.name)]
        subprocess.run(command, check=True, timeout=120)
        return made
    env = {name: value for name in ("PIP_INDEX_URL", "PIP_CERT") if (value := os.environ.get(name))}
    if python.root is not None and "PIP_CERT" in env:
        (folder / "pip.pem").write_bytes(Path(env["PIP_CERT"]).read_bytes())
        env["PIP_CERT"] = f"{inside}/pip.pem"
    target = f"{inside}/{wheel.name}[{extra}]" if extra else f"{inside}/{wheel.name}"
    done = made("python", "-m", "pip", "install", "-q", "--disable-pip-version-check", target, env=env, timeout=900)
    assert done.returncode == 0, done.stderr
    return made


def closure(wheel: Path, extra: str) -> list[Distribution]:
    """The distributions that the wheel with this extra requires, directly or not, as they are installed here."""
    (info,) = (p for p in ZipPath(wheel).iterdir() if p.name.endswith(".dist-info"))
    found: dict[str, Distribution] = {}
    asked = set[tuple[str, str]]()
    waiting = [Requirement(f"attune-ops[{extra}]" if extra else "attune-ops")]
    while waiting:
        requirement = waiting.pop()
        name = canonicalize_name(requirement.name)
        if name == "attune-ops":
            installed: Distribution = PathDistribution(info)
        else:
            installed = found.setdefault(name, distribution(name))
        for wanted in {"", *requirement.extras} - {e for n, e in asked if n == name}:
            asked.add((name, wanted))
            waiting += _required(installed, wanted)
    return list(found.values())


def _required(of: Distribution, extra: str) -> Iterator[Requirement]:
    """What it requires with this extra alone; the requirements without a marker belong to the extra ""."""
    for line in of.requires or ():
        requirement = Requirement(line)
        marker = requirement.marker
        without = marker is None or marker.evaluate({"extra": ""})
        if without if not extra else (not without and marker is not None and marker.evaluate({"extra": extra})):
            yield requirement


def link(found: Distribution, site: Path, shared: set[str]) -> None:
    """Links the modules of a distribution; file by file in a folder of several, so that no other comes along."""
    for file in found.files or ():
        if file.parts[0] in ("..", "__pycache__"):
            continue
        parts = file.parts if file.parts[0] in shared else file.parts[:1]
        target = site.joinpath(*parts)
        if not target.is_symlink():
            target.parent.mkdir(parents=True, exist_ok=True)
            target.symlink_to(Path(str(found.locate_file("/".join(parts)))).resolve())


def readme_commands(text: str) -> Sequence[str]:
    """Every `attune-ops …` of the README: lines of its blocks, inline code, and what printed its picture."""
    blocks = "\n".join(re.findall(r"^```\n(.*?)^```", text, re.DOTALL | re.MULTILINE))
    inline = re.sub(r"^```\n.*?^```", "", text, flags=re.DOTALL | re.MULTILINE)
    lines = [
        *re.findall(r"<!-- printed by: (attune-ops .+?) -->", text),
        *re.findall(r"^attune-ops [^\n]+", blocks, re.MULTILINE),
        *re.findall(r"`(attune-ops [^`]+)`", inline),
    ]
    return list(dict.fromkeys(lines))
