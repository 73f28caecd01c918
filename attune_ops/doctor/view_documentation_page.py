"""How a page of the documentation is shown: as the Markdown that it is written in."""

from __future__ import annotations

from typing import Literal, TypedDict

from attune_ops.doctor.documentation import DocumentationPage
from attune_ops.model.table import Column, Table

COLUMNS = (Column("page"), Column("title"), Column("text", doc="Markdown"))


def as_table(page: DocumentationPage) -> str:
    """The text."""
    return page.text.rstrip()


def as_markdown(page: DocumentationPage) -> str:
    """The text."""
    return page.text.rstrip()


class DocumentationPageJson(TypedDict):
    """A page of the documentation; `text` is Markdown."""

    schema: Literal["attune-ops/docs/1"]
    page: str
    title: str
    text: str


JSON = DocumentationPageJson


def as_json(page: DocumentationPage) -> DocumentationPageJson:
    """`attune-ops/docs/1`."""
    return {"schema": "attune-ops/docs/1", "page": page.page, "title": page.title, "text": page.text}


def rows(page: DocumentationPage) -> Table:
    """One row."""
    return Table("docs", COLUMNS, ((page.page, page.title, page.text),), None)
