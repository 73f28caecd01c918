"""The documentation site: built without a warning, links that resolve, and the way of a new user through it."""

from __future__ import annotations

import fcntl
import os
import re
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass, field
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import unquote, urldefrag

import pytest

from attune_ops.cli import _schemas
from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.health import Probes
from attune_ops.messages.facade import Messages
from attune_ops.model.docs_address import docs_address
from attune_ops.monitoring.history_operations import HistoryOperations
from attune_ops.ops import Ops
from attune_ops.topology.policies.apply_policy import PolicyOperations
from tests.cli.commands import ALL

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
EMPTY = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass
class Section:
    """The text and the links of the article from one anchor to the next heading; "" is the whole article."""

    text: str = ""
    links: list[str] = field(default_factory=list)


class Page(HTMLParser):
    """Identifiers, addresses of everything that is linked or loaded, and the article by headings."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.ids: set[str] = set()
        self.links: list[str] = []
        self.loaded: list[str] = []
        self.sections: dict[str, Section] = {"": Section()}
        self._article = 0
        self._anchor = ""
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        found = dict(attrs)
        if identifier := found.get("id"):
            self.ids.add(identifier)
        if tag == "a" and (link := found.get("href")):
            self.links.append(link)
            if self._article:
                for section in self._current():
                    section.links.append(link)
        for name in ("src", "href") if tag != "a" else ():
            if address := found.get(name):
                self.loaded.append(address)
        if tag == "article":
            self._article += 1
        elif self._article and tag in ("h1", "h2", "h3") and found.get("id"):
            self._anchor = str(found["id"])
            self.sections[self._anchor] = Section()

    def handle_endtag(self, tag: str) -> None:
        self._article -= tag == "article"

    def handle_data(self, data: str) -> None:
        for section in self._current() if self._article else ():
            section.text += data

    def _current(self) -> Iterator[Section]:
        yield self.sections[""]
        if self._anchor:
            yield self.sections[self._anchor]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Page]:
    """The built pages by their address inside of the site; built once for all processes of the test run."""
    base = tmp_path_factory.getbasetemp()
    shared = base.parent if "PYTEST_XDIST_WORKER" in os.environ else base
    folder = shared / "site"
    with (shared / "site.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not (shared / "site.built").exists():
            build(folder)
            (shared / "site.built").touch()
    return {str(f.relative_to(folder)): Page(f.read_text()) for f in folder.rglob("*.html")} | {
        str(f.relative_to(folder)): Page("") for f in folder.rglob("*") if f.suffix != ".html" and f.is_file()
    }


def build(folder: Path) -> None:
    """Builds the site as `scripts/site` does; fails for a warning."""
    mkdocs = [sys.executable, "-m", "mkdocs", "build", "--strict"]
    command = [*mkdocs, "-f", f"{ROOT}/docs/site/mkdocs.yml", "-d", f"{folder}"]
    done = subprocess.run(
        command, capture_output=True, text=True, check=False, timeout=240,
        env={**os.environ, "NO_MKDOCS_2_WARNING": "1"},
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    assert "WARNING" not in done.stderr


def target(page: str, link: str) -> tuple[str, str] | None:
    """Page and anchor that a link of a page leads to; None for another host."""
    if re.match(r"[a-z]+:|//", link):
        return None
    path, anchor = urldefrag(link)
    where = os.path.normpath(os.path.join(os.path.dirname(page), unquote(path))) if path else page
    return where, unquote(anchor)


def test_every_link_and_anchor_resolves(site: dict[str, Page]) -> None:
    broken, count = [], 0
    for name, page in site.items():
        for link in page.links + page.loaded:
            found = target(name, link)
            if found is None or (name == "404.html" and link.startswith("/")):
                continue
            count += 1
            where, anchor = found
            if where not in site or (anchor and where.endswith(".html") and anchor not in site[where].ids):
                broken.append((name, link))
    assert broken == []
    assert count > 2000


def test_nothing_is_loaded_from_another_host(site: dict[str, Page]) -> None:
    loaded = {a for page in site.values() for a in page.loaded if re.match(r"https?:|//", a)}
    assert loaded == set()


@pytest.mark.parametrize(
    ("question", "answer"),
    [
        ("how to install", r"pipx install '\.\[postgres\]'"),
        ("which rights a monitoring user needs", r"rabbitmqctl set_user_tags attune-ops monitoring"),
        ("what AT401 means", r"^AT401 worker-queues[\s\S]*A registered worker without its queue"),
        ("how to clean up after a roll-out", r"attune-ops reap --apply"),
        ("how to probe a worker", r"attune-ops health worker \S+ --wait"),
    ],
)
def test_within_three_clicks_of_the_start_page(site: dict[str, Page], question: str, answer: str) -> None:
    """Follows the links in the text alone, not those of the navigation: a way that is read from the start page."""
    ways: dict[tuple[str, str], int] = {("index.html", ""): 0}
    for (name, anchor), clicks in (queue := list(ways.items())):
        page = site[name]
        section = page.sections.get(anchor, page.sections.get("", Section()))
        if clicks and re.search(answer, section.text.lstrip()):
            assert clicks <= 3
            return
        for link in section.links if clicks < 3 else ():
            found = target(name, link)
            if found is not None and found not in ways and found[0].endswith(".html"):
                ways[found] = clicks + 1
                queue.append((found, clicks + 1))
    pytest.fail(f"{question}: not within three clicks; {len(ways)} pages and sections were read")


def test_each_check_has_its_address(site: dict[str, Page]) -> None:
    for check in all_checks():
        page, _, anchor = docs_address("checks", check.anchor).partition("#")
        assert anchor in site[page].ids
        assert check.title.split()[0] in site[page].sections[anchor].text


def test_each_command_is_in_the_reference_with_its_example(site: dict[str, Page]) -> None:
    page = site["reference/options.html"]
    for name, command in ALL.items():
        anchor = "attune-ops-" + name.replace(" ", "-")
        assert anchor in page.ids
        assert command.example.splitlines()[0].strip() in page.sections[""].text


def test_python_has_each_public_method(site: dict[str, Page]) -> None:
    page = site["reference/python.html"]
    public = {f"attune_ops.ops.Ops.{n}" for n in dir(Ops) if not n.startswith("_")}
    for kind in (Messages, PolicyOperations, Probes, HistoryOperations):
        methods = [n for n, member in vars(kind).items() if not n.startswith("_") and not isinstance(member, str)]
        public |= {f"{kind.__module__}.{kind.__qualname__}.{n}" for n in methods}
    assert len(public) > 40
    assert public <= page.ids
    assert ">>> ops." in page.sections[""].text


def test_the_page_of_schemas_has_each_with_its_file(site: dict[str, Page]) -> None:
    page = site["reference/schemas.html"]
    linked = {link for link in page.links if link.endswith(".json")}
    assert linked == {f"../schemas/{name}.json" for name in _schemas.names()}
    for name in _schemas.names():
        assert f"schemas/{name}.json" in site
        assert f"attune-ops config schema {name}" in page.sections[""].text


def test_no_markdown_is_left_as_text(site: dict[str, Page]) -> None:
    """A list without a blank line before it, or a table that is none, as it is a list or a table on a forge."""
    for name, page in site.items():
        if name.endswith(".html") and not name.startswith("project/"):
            text = page.sections[""].text
            assert not re.search(r"^\|[ :-]+\|", text, re.MULTILINE), name
            assert r"\|" not in text or name == "failover.html", name
            assert "](" not in re.sub(r"\S*\[\S*\]\(\S*", "", text) or name.startswith("reference/"), name
