"""The first screen of the doctor, as somebody sees it who knows nothing else: 24 lines of 80 columns."""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Mapping, Sequence

from tests.live.places import Place
from tests.terminal import printed
from tests.world import COMMAND, Run

COLUMNS, LINES = 80, 20  # of a terminal with 24 lines some are taken by the prompt
ADVICE = re.compile(r"^ {9}(?:→ |see \$ |\$ )")
INDENT = " " * 9
BLIND = {"ATTUNE_OPS_TOPOLOGY"}  # which release runs is for the doctor to find out, unless a test names a file


class Screen:
    """What stands on it. `lines` are all that were printed."""

    def __init__(self, lines: Sequence[str], status: int) -> None:
        self.lines, self.status = lines, status

    @property
    def first(self) -> Sequence[str]:
        """The lines that are seen without scrolling."""
        return self.lines[:LINES]

    def finding(self, code: str) -> str:
        """The first finding of that check from its severity to its last line; "" where none begins on the screen."""
        begin = next((i for i, line in enumerate(self.first) if line.endswith(f" {code}")), None)
        if begin is None:
            return ""
        end = next((i for i in range(begin + 1, len(self.lines)) if not self.lines[i].startswith(INDENT)), 0)
        return "\n".join(self.lines[begin : min(end, LINES)])

    def says(self, code: str, words: str) -> bool:
        """Whether the finding has these words, wherever its lines end."""
        plain = re.sub(rf"\s+{code}$", "", self.finding(code), flags=re.MULTILINE)
        return words in " ".join(plain.split())

    def commands(self, code: str) -> list[str]:
        """The commands of the finding that fix, as somebody copies them from the screen."""
        text = self.finding(code).replace(" \\\n", " ")
        return [line.strip().removeprefix("$ ") for line in text.splitlines() if line.startswith(f"{INDENT}$ ")]


def doctor(place: Place, run: Run, env: Mapping[str, str] = {}) -> Screen:
    """`attune-ops doctor` at a terminal of 80 columns."""
    place.beat()
    blind = BLIND - place.more_environment.keys()
    environment = {k: v for k, v in place.environment.items() if k not in blind}

    def look() -> Screen:
        done = printed([COMMAND, "doctor"], run.environment(env={**environment, **env}), width=COLUMNS)
        return Screen(done.lines, done.status)

    screen = look()
    for _ in range(5):
        if not [line for line in screen.lines if line.endswith(" AT104")]:
            break
        screen = look()  # slow to respond was this machine, with the tests beside this one, and no installation
    return screen


def _lacks(screen: Screen, code: str, words: Sequence[str], severity: str, status: int) -> str:
    """What the first screen lacks; "" where it names the cause and the fix."""
    said = screen.finding(code)
    if not said.startswith(severity):
        return f"no {severity} {code} in the first {LINES} lines"
    if not [line for line in said.splitlines() if ADVICE.match(line)]:
        return f"no fix of {code} in the first {LINES} lines"
    if missing := [w for w in words if not screen.says(code, w)]:
        return f"{code} does not say {missing}"
    return "" if screen.status == status else f"exit status {screen.status}, expected {status}"


def shows(place: Place, run: Run, code: str, *words: str, severity: str = "ERROR", status: int | None = None) -> Screen:
    """Waits until the first screen has the finding with these words, among them how to fix it."""
    expected = int(severity == "ERROR") if status is None else status
    return _waits(place, run, lambda screen: _lacks(screen, code, words, severity, expected))


def healthy(place: Place, run: Run) -> Screen:
    """Waits until the doctor finds no error and no warning."""

    def trouble(screen: Screen) -> str:
        found = [line for line in screen.lines if line.startswith(("ERROR", "WARNING"))]
        return "; ".join(found) or (f"exit status {screen.status}" if screen.status else "")

    return _waits(place, run, trouble)


def _waits(place: Place, run: Run, lacks: Callable[[Screen], str]) -> Screen:
    """The first screen that lacks nothing; statistics are up to 10 s old."""
    deadline = time.monotonic() + 45
    while why := lacks(screen := doctor(place, run)):
        assert time.monotonic() < deadline, "\n".join([why, *screen.lines])
        time.sleep(0.5)
    return screen


def copy(screen: Screen, code: str, place: Place, run: Run) -> None:
    """Runs the commands of a finding in bash, as they stand on the screen."""
    commands = screen.commands(code)
    assert commands, "\n".join(screen.lines)
    for command in commands:
        done = run.shell(command, place.environment)
        assert done.returncode == 0, f"{command}\n{done.stdout}{done.stderr}"
