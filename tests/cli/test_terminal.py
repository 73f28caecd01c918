"""What a terminal shows of notes and errors: lines that break between words."""

from __future__ import annotations

from tests.terminal import printed
from tests.world import COMMAND, Run

WIDTH = 40


def stderr_at_a_terminal(run: Run, *arguments: str) -> list[str]:
    """The lines on stderr where that is a terminal of `WIDTH` columns."""
    return printed([COMMAND, *arguments], run.environment(), width=WIDTH, stream="stderr", cwd=run.folder).lines


def test_an_error_breaks_between_words(run: Run) -> None:
    lines = stderr_at_a_terminal(run, "--lab", "nope", "queues")
    assert len(lines) > 1
    assert all(len(line) <= WIDTH for line in lines)
    assert " ".join(line.strip() for line in lines) == run("--lab", "nope", "queues", status=2).stderr.strip()


def test_a_note_breaks_between_words(run: Run) -> None:
    lines = stderr_at_a_terminal(run, "config", "init", "a-file-with-a-name.toml")
    assert lines == ["dry run: nothing was written; --apply", "  writes this to a-file-with-a-name.toml"]


def test_a_command_to_copy_stays_in_one_piece(run: Run) -> None:
    assert stderr_at_a_terminal(run, "lab", "status") == ["no lab is running; `attune-ops lab up` starts one"]
