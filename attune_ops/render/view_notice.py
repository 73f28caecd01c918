"""How a notice shows itself."""

from __future__ import annotations

from typing import Literal, TypedDict

from attune_ops.model.notice import Notice
from attune_ops.render import html
from attune_ops.render.text import visible


def as_table(notice: Notice) -> str:
    """The headline, and the lines below it."""
    return "\n".join([visible(notice.headline), *(f"  {visible(line)}" for line in notice.lines)])


class NoticeJson(TypedDict):
    """A headline with details."""

    schema: Literal["attune-ops/notice/1"]
    headline: str
    lines: list[str]


JSON = NoticeJson


def as_json(notice: Notice) -> NoticeJson:
    """`attune-ops/notice/1`."""
    return {"schema": "attune-ops/notice/1", "headline": notice.headline, "lines": list(notice.lines)}


def as_html(notice: Notice) -> str:
    """The headline in bold."""
    return html.fragment("notice.html", notice=notice)
