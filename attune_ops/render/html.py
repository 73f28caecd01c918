"""HTML for notebooks and files: Jinja2 with autoescape, colours for light and dark themes, no script.

A fragment inherits the page's text colour and its lines are half transparent, so it is readable in JupyterLab's light
and dark theme and on a static site; details fold with `<details>`.
"""

from __future__ import annotations

from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any

from attune_ops.model.units import age, size
from attune_ops.render import text

if TYPE_CHECKING:
    import jinja2


def fragment(template: str, **context: Any) -> str:
    """Fills in a template of `render/templates`; every value is escaped.

    Filters for a template: `visible` for names, `age`, `moment`, `size`.
    """
    return _environment().get_template(template).render(**context)


def page(title: str, body: str) -> str:
    """A complete page around a fragment that is already HTML; it loads nothing from the network."""
    from markupsafe import Markup

    return fragment("page.html", title=title, body=Markup(body))


def pictured(svg: str) -> str:
    """An SVG picture as HTML; its text has the colour of the page."""
    from markupsafe import Markup

    return fragment("picture.html", svg=Markup(svg))


def script(name: str) -> str:
    """The JavaScript of a file of `render/templates`."""
    return files("attune_ops.render").joinpath("templates", name).read_text()


def cell(shown: str, key: str | None = None) -> str:
    """A table cell, its text escaped, with the key that it is sorted by: for tables too large for a loop of Jinja2."""
    from markupsafe import escape

    return f"<td>{escape(shown)}</td>" if key is None else f'<td data-k="{escape(key)}">{escape(shown)}</td>'


def preformatted(plain: str) -> str:
    """Plain text as HTML, for a type without its own template."""
    return fragment("text.html", text=plain)


@cache
def _environment() -> jinja2.Environment:
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("attune_ops.render"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "visible": text.visible,
        "age": age,
        "moment": text.moment,
        "size": size,
    }
    return environment
