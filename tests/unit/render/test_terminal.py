"""Lines wrap under their indent, a long command line so that a shell still reads it as one."""

from __future__ import annotations

import io
import shlex

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from attune_ops.model import command_lines
from attune_ops.model.topology import Binding
from attune_ops.render import text
from attune_ops.render.terminal import CommandText, Indented, Visible, broken, indented, plain
from attune_ops.render.text import COPY

COMMAND = "attune-ops messages restore a-file-with-a-long-name.jsonl --exchange '' --routing-key q --apply"
WORDS = st.text(st.characters(exclude_categories=["C", "Z"]) | st.sampled_from(" '\"\\$#"), min_size=1)


@given(st.lists(WORDS, min_size=1), st.integers(20, 100))
def test_a_shell_reads_the_same(words: list[str], width: int) -> None:
    line = str(command_lines.line(*words))
    parts = list(broken(line, width))
    assert shlex.split("\n".join(parts).replace(" \\\n", " ")) == shlex.split(line)


@pytest.mark.parametrize("width", [40, 72, 74, 80])
def test_it_fits(width: int) -> None:
    line = str(command_lines.binding("unbind", Binding("attune.events", "attune.executions.queue", "rule.#")))
    parts = list(broken(line, width))
    assert all(cell_len(part) <= width for part in parts)
    assert all(part.endswith(" \\") for part in parts[:-1])
    assert shlex.split("\n".join(parts).replace("\\\n", "")) == shlex.split(line)


def test_a_short_line_stays() -> None:
    line = str(command_lines.DECLARE)
    assert list(broken(line, 80)) == [line]


@pytest.mark.parametrize("width", [40, 80])
def test_a_word_that_does_not_fit_is_not_cut(width: int) -> None:
    line = str(command_lines.reap(*(f"worker.{i}.executions" for i in range(20))))
    console = Console(file=io.StringIO(), width=width, color_system=None)
    with console.capture() as capture:
        console.print(Visible(Indented(CommandText("$ ", line, "bold"), 9)), crop=False)
    assert shlex.split(capture.get().strip().removeprefix("$ ").replace(" \\\n", " ")) == shlex.split(line)


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
    assert plain(indented([(0, COMMAND, COPY)])) == text.indented([(0, COMMAND, COPY)]) == COMMAND
