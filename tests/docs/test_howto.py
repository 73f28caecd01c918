"""Each command of the how-to pages and the tutorial is one of this version, and those of the pages run."""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

from tests.cli.commands import parsed

DOCS = Path(__file__).parents[2] / "docs"
PAGES = [*sorted((DOCS / "howto").glob("*.md")), DOCS / "tutorial.md", DOCS / "index.md"]
SHOWN = re.compile(r"^ *(?:\$ )?(attune-ops .+)$", re.MULTILINE)


def commands(page: Path, language: str = r"\w*") -> list[str]:
    """The command lines in the code blocks of a page."""
    blocks = re.findall(rf"^( *)```{language}\n(.*?)^\1```", page.read_text(), re.DOTALL | re.MULTILINE)
    return [line for _, block in blocks for line in SHOWN.findall(block)]


@pytest.mark.parametrize("page", PAGES, ids=lambda p: p.stem)
def test_each_command_is_one_of_this_version(page: Path) -> None:
    in_text = re.findall(r"`(attune-ops [a-z][^`]*)`", page.read_text())
    lines = [*commands(page), *in_text]
    assert lines
    for line in lines:
        parsed(shlex.split(line, comments=True)[1:])


def test_the_rights_are_those_of_the_permissions_page() -> None:
    """The permissions page is run on a real broker and a real PostgreSQL by tests/live/cli/test_permissions.py."""
    tested = (DOCS / "permissions.md").read_text()
    blocks = re.findall(r"```(?:sh|sql)\n(.*?)```", (DOCS / "howto" / "monitoring-user.md").read_text(), re.DOTALL)
    shown = [block for block in blocks if "attune-ops doctor" not in block]
    assert [block.count("\nGRANT") + block.count("rabbitmqctl") for block in shown] == [3, 4]
    assert [block for block in shown if block not in tested] == []
    assert max(len(line) for block in shown for line in block.splitlines()) <= 75  # a page of the site has 78
