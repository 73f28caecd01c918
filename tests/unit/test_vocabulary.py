"""What users read is written in the words of RabbitMQ, Attune and Kubernetes (docs/glossary.md), never in a synonym."""

from __future__ import annotations

import ast
import json
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

# The word, and what to write instead.
NOT = {
    r"told": "known, reported",
    r"anew": "again; redeclared, recreated",
    r"for ever": "until ...",
    r"whose": "of which; owner",
    r"go(?:es)? with (?:its|the) last": "is auto-deleted with its last consumer",
    r"gives? (?:\w+ )?up": "is dead-lettered, dropped; stops after ...",
    r"is none of": "is not a ...",
    r"so many": "the number of ...",
    r"beforehand": "before",
    r"amiss": "wrong; no problems",
    r"astray": "misrouted",
    r"mends?|mended": "fix, revert",
    r"cures?|cured": "fix",
    r"the wish": "the desired topology",
    r"worlds?": "installation, broker",
    r"crowds?": "more than N queues",
    r"spares?|sparing": "skip, save",
    r"looks?": "check, read; sample",
    r"gates?": "confirmation (protected environment)",
    r"fates?": "outcome",
    r"shares?": "part, count; have in common",
    r"twins?": "duplicate",
    r"eyes?": "sampler",
    r"stages?": "context",
    r"heard": "read, seen",
    r"could not look": "skipped",
    r"takes? the start-?up": "runs the start-up sequence",
    r"last word": "takes precedence",
    r"in vain": "without effect",
}
PATTERN = re.compile(r"\b(?:" + "|".join(f"(?:{word})" for word in NOT) + r")\b", re.IGNORECASE)

# Where a word of the list is the field's own, or a settled name of the interface.
ALLOWED = (
    re.compile(r"\bfirst-look\b"),  # the name of a notebook, which users type
    re.compile(r"\bLook(?:-up|up)s?\b|\blook(?:s|ed)? up\b", re.IGNORECASE),  # look-up: of a name, of a key
)


def prose_of_python(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of every string of a module that has a space in it: docstrings, messages, help."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value.strip():
            yield node.lineno, node.value


def prose_of_text(path: Path) -> Iterator[tuple[int, str]]:
    """Line and text of a page, without what is set as code."""
    in_code = False
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line.lstrip().startswith("```"):
            in_code = not in_code
        elif not in_code:
            yield number, re.sub(r"`[^`]*`", "", line)


def prose_of_notebook(path: Path) -> Iterator[tuple[int, str]]:
    """The number of each cell, and what it says."""
    for number, cell in enumerate(json.loads(path.read_text())["cells"], 1):
        text = "".join(cell["source"])
        if cell["cell_type"] == "markdown":
            yield number, re.sub(r"`[^`]*`", "", text)
        else:
            yield number, "\n".join(line for line in text.splitlines() if line.lstrip().startswith("#"))


def files() -> list[Path]:
    package = [p for p in sorted((ROOT / "attune_ops").rglob("*")) if p.suffix in (".py", ".html", ".js")]
    pages = [p for p in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")] if p.name not in ("glossary.md",)]
    deploy = [p for p in sorted((ROOT / "deploy").rglob("*")) if p.is_file() and "__pycache__" not in p.parts]
    return [*package, *sorted(pages), *deploy, *sorted((ROOT / "notebooks").glob("*.ipynb"))]


def found(path: Path) -> list[str]:
    """Every sentence of a file that has a word of the list."""
    prose = {".py": prose_of_python, ".ipynb": prose_of_notebook}.get(path.suffix, prose_of_text)
    faults = []
    for line, text in prose(path):
        for allowed in ALLOWED:
            text = allowed.sub("", text)
        faults += [f"{path.relative_to(ROOT)}:{line}: {m[0]!r} in {_around(text, m)!r}" for m in PATTERN.finditer(text)]
    return faults


def _around(text: str, match: re.Match[str]) -> str:
    return " ".join(text[max(0, match.start() - 30) : match.end() + 30].split())


@pytest.mark.parametrize("path", files(), ids=lambda p: str(p.relative_to(ROOT)))
def test_plain_words(path: Path) -> None:
    assert found(path) == []


@pytest.mark.parametrize("text", ["nothing is amiss", "the worlds of brokers", "it gives messages up", "anew"])
def test_a_planted_word_is_found(tmp_path: Path, text: str) -> None:
    assert PATTERN.search(text)
