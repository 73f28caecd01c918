"""The pages of the documentation: part of the package, so that they can be read without a network."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator
from pathlib import Path

import msgspec

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.findings import Check, CheckPages
from attune_ops.installation.config.docs_url import VARIABLE
from attune_ops.model.display import Shown
from attune_ops.model.docs_address import docs_address
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Table

COLUMNS = (
    Column("page", doc="the argument of attune-ops docs"),
    Column("title", doc="the heading of the page"),
    Column("address", doc="its address; without docs_url inside of the site", priority=2),
)
BUILT = "site"  # the folder of `scripts/site`
PACKAGE = Path(__file__).parents[1]


class DocumentationPage(Shown, msgspec.Struct, frozen=True):
    """A page: `page` is its name, `text` is Markdown."""

    page: str
    title: str
    text: str


def pages(base: str | None = None) -> Table:
    """The pages, how-to pages first, with their addresses on the site at `base`. Reads the files of the package."""
    rows = tuple((file.stem, _page(file).title, docs_address(page, base=base)) for page, file in _files())
    return Table("docs", COLUMNS, rows, None)


def documentation(name: str) -> CheckPages | DocumentationPage:
    """The page of a check (code or name), or of that name; raises `ConfigError` where there is none."""
    checks = _checks(name)
    return CheckPages(checks) if checks else _page(dict(_by_name())[_known(name)])


def address(name: str | None, base: str | None) -> str:
    """The address of a page, a check or the start page on the site at `base`, else in the folder of `scripts/site`.

    Raises `ConfigError` for an unknown page, and where the site is neither configured nor built.
    """
    if base is None:
        built = PACKAGE.parent / BUILT
        if not (built / "index.html").is_file():
            raise ConfigError(f"no address of the documentation is configured: set docs_url or {VARIABLE}")
        base = built.as_uri()
    if name is None:
        return docs_address("index", base=base)
    for check in _checks(name):
        return docs_address("checks", check.anchor, base)
    known = _known(name)
    return next(docs_address(page, base=base) for page, file in _files() if file.stem == known)


def _checks(name: str) -> tuple[Check, ...]:
    """The check of that code, or of that name where no page has it."""
    named = name.lower() not in dict(_by_name())
    return tuple(c for c in all_checks() if name.lower() == c.code.lower() or (named and name == c.name))


def _known(name: str) -> str:
    known = dict(_by_name())
    if name.lower() in known:
        return name.lower()
    near = difflib.get_close_matches(name.lower(), [*known, *(c.code.lower() for c in all_checks())], 3)
    near = [n.upper() if re.fullmatch(r"at\d+", n) else n for n in near]
    hint = f"did you mean {' or '.join(near)}?" if near else "attune-ops docs lists the pages"
    raise ConfigError(f"no check or page {name!r}; {hint}")


def _by_name() -> Iterator[tuple[str, Path]]:
    return ((file.stem, file) for _, file in _files())


def _files() -> Iterator[tuple[str, Path]]:
    """The name of each page on the site, and its file: of the package, or of the folder beside it in a clone."""
    folder = next((f for f in (PACKAGE / "docs", PACKAGE.parent / "docs") if (f / "checks.md").is_file()), None)
    if folder is None:
        return
    for kind in ("howto/", ""):
        yield from ((f"{kind}{file.stem}", file) for file in sorted((folder / kind).glob("*.md")))


def _page(file: Path) -> DocumentationPage:
    text = file.read_text(encoding="utf-8")
    heading = re.search(r"^# (.+)$", text, re.MULTILINE)
    title = heading[1].replace("`", "") if heading else file.stem
    return DocumentationPage(file.stem, title, text)
