"""Lines of words wrap under their indent; a command to copy stays in one piece."""

from __future__ import annotations

import io

from rich.console import Console

from attune_ops.render.lines import COPY, indented
from attune_ops.render.terminal import Visible, plain

COMMAND = "attune-ops messages restore a-file-with-a-long-name.jsonl --exchange '' --routing-key q --apply"


def shown(width: int) -> list[str]:
    console = Console(file=io.StringIO(), width=width, color_system=None)
    lines = indented([(2, "word " * 20, ""), (4, f"undo: {COMMAND}", COPY)])
    with console.capture() as capture:
        console.print(Visible(lines), crop=False)
    return [line.rstrip() for line in capture.get().splitlines()]


def test_words_wrap_and_a_command_does_not() -> None:
    *words, command = shown(40)
    assert len(words) == 3
    assert all(line.startswith("  word") and len(line) <= 40 for line in words)
    assert command == f"    undo: {COMMAND}"
    assert plain(indented([(0, COMMAND, COPY)])) == COMMAND
