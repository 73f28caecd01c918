"""README, tutorial and start-up page hold what is printed today, numbers aside; the list of commands names each."""

from __future__ import annotations

import os
import re
import secrets
import shlex
from pathlib import Path

import pytest

from attune_ops import lab
from attune_ops.cli._main import root
from tests.cli.commands import parsed
from tests.examples import examples, shape
from tests.world import Run

ROOT = Path(__file__).parents[2]
README, TUTORIAL, STARTUP, COMMANDS = (
    (ROOT / p).read_text() for p in ("README.md", "docs/tutorial.md", "docs/startup.md", "docs/commands.md")
)
PRINTED = examples(README + TUTORIAL + STARTUP)


def assert_printed(excerpt: str, output: str) -> None:
    """Each line of the excerpt begins a line of the output, in order; `…` stands for lines left out."""
    lines = iter([shape(line) for line in output.splitlines()])
    for wanted in excerpt.splitlines():
        if wanted.strip() in ("", "…") or wanted.startswith("$ "):
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
        assert len(PRINTED) == 3
        for command, excerpt in PRINTED.items():
            words = command.split()[1:]
            done = run(*words, *urls, "--database-url", there.database_url, env=state)
            assert_printed(excerpt, done.stderr + done.stdout)
    finally:
        lab.down(name)


def test_every_command_is_named() -> None:
    table = set(re.findall(r"^\| `attune-ops ([a-z-]+)", COMMANDS, re.MULTILINE))
    import click

    assert table == set(root.list_commands(click.Context(root)))


def test_every_link_of_the_readme_is_a_file() -> None:
    links = re.findall(r"\]\(([^)]+)\)", README)
    assert len(links) > 20
    assert [link for link in links if not (ROOT / link).is_file()] == []
    howto = {f"docs/howto/{page.name}" for page in (ROOT / "docs" / "howto").glob("*.md")}
    assert howto <= set(links)


def test_the_readme_is_short_and_its_commands_are_valid() -> None:
    """It is what a package index shows: complete without its links, and without a picture that is a file."""
    assert len(README.splitlines()) < 100
    assert "![" not in README
    shown = re.search(r"^## Five commands\n\n```\n(.*?)```", README, re.DOTALL | re.MULTILINE)
    assert shown
    lines = shown[1].splitlines()
    assert len(lines) == 5
    for line in lines:
        parsed(shlex.split(line, comments=True)[1:])
