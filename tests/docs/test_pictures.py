"""The pictures of the documentation: each is shown by a page with words for who cannot see it, small, and complete."""

from __future__ import annotations

import re
from pathlib import Path

DOCS = Path(__file__).parents[2] / "docs"
MOST = 150_000  # bytes
SHOWN = re.compile(r"!\[([^\]]+)\]\((?:\.\./)*(pictures/[^)]+)\)")


def test_each_picture_is_shown_and_small() -> None:
    shown = {path: words for page in DOCS.rglob("*.md") for words, path in SHOWN.findall(page.read_text())}
    files = {f"pictures/{file.name}": file for file in (DOCS / "pictures").iterdir()}
    assert shown.keys() == files.keys()
    assert all(len(words.split()) >= 3 for words in shown.values())
    assert {name: file.stat().st_size for name, file in files.items() if file.stat().st_size > MOST} == {}


def test_a_drawing_loads_nothing_from_another_host() -> None:
    drawings = [*DOCS.glob("pictures/*.svg"), *DOCS.glob("topologies/*.svg")]
    assert len(drawings) >= 6
    for file in drawings:
        text = file.read_text()
        assert not re.findall(r"(?:url\(|href=|src=)['\"]?(?:https?:)?//[^)'\" ]+", text), file.name


def test_the_live_view_is_that_of_now() -> None:
    """The tabs, tiles and keys of the drawings are those that the view has."""
    from attune_ops.monitoring import live_head
    from attune_ops.monitoring.live_rows import TABS

    text = (DOCS / "pictures" / "watch-workers.svg").read_text().replace("&#160;", " ")
    for number, tab in enumerate(TABS, 1):
        assert re.search(rf"{number} {tab} \d", text, re.IGNORECASE), tab
    assert len(live_head.TILES) == 4
    for words in ("workers ready", "messages", "unacknowledged", "orphaned queues", "Quit", "Filter"):
        assert words in text
