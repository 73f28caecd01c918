"""A program in a real terminal: a tmux server of the test's own, on a private socket."""

from __future__ import annotations

import secrets
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from tests.world import eventually

SHELL = "env 'PS1=ready> ' bash --norc"


class Terminal:
    """A bash in a terminal; `press` types keys by tmux's names, `text` is what the terminal shows."""

    def __init__(self, socket: str) -> None:
        self._socket = socket

    def tmux(self, *words: str) -> str:
        """Runs tmux on the private socket."""
        done = subprocess.run(["tmux", "-L", self._socket, *words], capture_output=True, text=True, timeout=60)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @property
    def text(self) -> str:
        """The terminal's lines now."""
        return self.tmux("capture-pane", "-p", "-t", "a")

    def press(self, *keys: str) -> None:
        """Types keys."""
        self.tmux("send-keys", "-t", "a", *keys)

    def type(self, line: str) -> None:
        """Types a line and Enter."""
        self.tmux("send-keys", "-t", "a", "-l", line)
        self.press("Enter")

    def shows(self, *words: str, within: float = 20, lacks: tuple[str, ...] = ()) -> str:
        """Waits until the terminal shows all the words and none of `lacks`; returns its text."""
        seen = ""

        def there() -> bool:
            nonlocal seen
            seen = self.text
            return all(w in seen for w in words) and not any(w in seen for w in lacks)

        try:
            eventually(there, within=within)
        except AssertionError:
            raise AssertionError(f"not {words} or {lacks} in\n{seen}") from None
        return seen

    def resize(self, width: int, height: int) -> None:
        """Gives the terminal another size."""
        self.tmux("resize-window", "-t", "a", "-x", str(width), "-y", str(height))


@contextmanager
def terminal(env: Mapping[str, str], width: int, height: int) -> Iterator[Terminal]:
    """A terminal of that size, which ends with the block."""
    made = Terminal(f"t{secrets.token_hex(6)}")
    size = ("-x", str(width), "-y", str(height))
    command = ["tmux", "-L", made._socket, "-f", "/dev/null", "new-session", "-d", "-s", "a", *size, SHELL]
    subprocess.run(command, env={**env, "TERM": "xterm-256color"}, check=True, timeout=60)
    try:
        made.tmux("set-option", "-t", "a", "window-size", "manual")
        made.shows("ready>")
        yield made
    finally:
        made.tmux("kill-server")
