"""Examples of the documentation after a mark `printed by: COMMAND`, and what must be equal in them."""

from __future__ import annotations

import re


def examples(text: str) -> dict[str, str]:
    """The marked examples of a page, by command."""
    return dict(re.findall(r"<!-- printed by: (.+?) -->\n```\n(.*?)```", text, re.DOTALL))


def shape(line: str) -> str:
    """A line without what differs from run to run: numbers, sizes, and how far they are padded."""
    line = re.sub(r"[0-9.]+ (?:[KM]i)?B\b|—", "SIZE", line)  # unknown is a size, too
    return re.sub(r"\s+", " ", re.sub(r"[0-9]+(\.[0-9]+)*", "N", line)).strip()


def assert_wrapped(excerpt: str, output: str) -> None:
    """Each part of the excerpt is in the output, in order, wherever lines end; `…` stands for lines left out."""
    rest = shape(output)
    for part in excerpt.split("…\n"):
        wanted = shape(part)
        _, found, rest = rest.partition(wanted)
        assert found == wanted, f"not printed, or not there: {part}\n{output}"
