"""The README holds what the commands print today, numbers aside, and names every command."""

from __future__ import annotations

import os
import re
import secrets
from pathlib import Path

import pytest

from attune_ops import lab
from attune_ops.cli._main import root
from tests.world import Run

README = (Path(__file__).parents[2] / "README.md").read_text()
PRINTED = dict(re.findall(r"<!-- printed by: (.+?) -->\n```\n(.*?)```", README, re.DOTALL))


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, sizes, and how far they are padded."""
    line = re.sub(r"[0-9.]+ (?:[KM]i)?B\b|—", "SIZE", line)  # unknown is a size, too
    return re.sub(r"\s+", " ", re.sub(r"[0-9]+(\.[0-9]+)*", "N", line)).strip()


def assert_printed(excerpt: str, output: str) -> None:
    """Each line of the excerpt begins a line of the output, in order; `…` stands for lines left out."""
    lines = iter([shape(line) for line in output.splitlines()])
    for wanted in excerpt.splitlines():
        if wanted.strip() in ("", "…"):
            continue
        assert any(line.startswith(shape(wanted)) for line in lines), f"not printed, or not there: {wanted!r}\n{output}"


@pytest.mark.slow
def test_what_the_commands_print(run: Run) -> None:
    name = f"readme{secrets.token_hex(4)}"
    state = {"XDG_STATE_HOME": os.environ["XDG_STATE_HOME"]}
    try:
        # --keep, so that the commands after it have an installation; the end of the output is the same without.
        done = run("lab", "run", "--keep", "--name", name, env=state, status=0, timeout=180)
        assert_printed(PRINTED.pop("attune-ops lab run"), done.stderr + done.stdout)
        assert all(len(line) <= 80 for line in done.stdout.splitlines() if line.startswith("attune.events.queue"))
        there = lab.Lab(name).state
        urls = ("--amqp-url", there.amqp_url, "--management-url", there.management_url)
        assert PRINTED, "the README shows more than lab run"
        for command, excerpt in PRINTED.items():
            words = command.split()[1:]
            done = run(*words, *urls, "--database-url", there.database_url, env=state)
            assert_printed(excerpt, done.stderr + done.stdout)
    finally:
        lab.down(name)


def test_every_command_is_named() -> None:
    table = set(re.findall(r"^\| `attune-ops ([a-z-]+)", README, re.MULTILINE))
    import click

    assert table == set(root.list_commands(click.Context(root)))


def test_every_page_is_named_and_there() -> None:
    folder = Path(__file__).parents[2]
    links = set(re.findall(r"\]\(((?:docs/)?[\w./-]+\.md)\)", README))
    assert all((folder / link).is_file() for link in links), links
    assert {f"docs/{p.name}" for p in (folder / "docs").glob("*.md")} <= links
