"""The address of a page of the documentation, as `scripts/site` builds it."""

from __future__ import annotations


def docs_address(page: str, anchor: str = "", base: str | None = None) -> str:
    """The address of a page (`checks`, `howto/monitoring-user`) on the site at `base`; without it, inside of the site.

    `anchor` is the identifier of a heading of the page.
    """
    where = f"{page}.html" + (f"#{anchor}" if anchor else "")
    return where if base is None else f"{base.rstrip('/')}/{where}"
