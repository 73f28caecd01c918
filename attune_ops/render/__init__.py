"""How values show themselves: each type in one file here, found by convention, loaded on first use.

The view of a type is the module `view_NAME` beside it, or here: `Health` → `doctor/view_health.py`.
It offers a form by defining a function `as_FORM(value)`:

- `as_table` → a rich renderable (or text) for a terminal of any width
- `as_text` → uncut text without colours; made from `as_table` where it is not defined
- `as_json` → plain data for JSON, with its `schema` member
- `as_html` → an HTML fragment; made from the text where it is not defined
- `as_frame` → a pandas DataFrame, `as_chart` → an altair chart
- `as_csv`, `as_markdown`, `as_junit`, `as_svg`, … → the text itself

A view that defines `rows(value) -> Table` has the forms of `ROWS` from it, but for those that it defines itself.

Nothing else needs an edit to add a type or a form.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import re
from types import ModuleType
from typing import Any

from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import Secret, scrub, scrubbed

NOT_FOR_SHOW = ("frame", "bundle", "chart")
HUMAN = ("text", "markdown", "html")
ROWS = ("csv", "markdown", "frame")  # forms that follow from the rows of a value


def show(value: object, format: str = "table", color: bool | None = None, secrets: tuple[Secret, ...] = ()) -> None:
    """Prints a value on stdout in one of its formats, `secrets` masked in it.

    A table fits the terminal, or is uncut and without colours in a pipe. `color` False switches colours off.
    Raises `ConfigError` naming the formats that the value has.
    """
    from attune_ops.render import terminal, wire

    if format not in formats(value):
        raise ConfigError(f"no format {format!r} for {_name(value)}; it has {', '.join(formats(value))}")
    if format == "table":
        terminal.write(value, color, secrets)
        return
    wire.write(written(value, format, secrets))


def written(value: object, format: str, secrets: tuple[Secret, ...] = ()) -> str:
    """The text of a value in one of its formats as it is printed or written to a file, `secrets` masked in it."""
    from attune_ops.render import wire

    made = form(value, format)
    if format == "json":
        text = wire.json_text(made)
        return text if scrub(text, secrets) == text else wire.json_text(scrubbed(made, secrets))
    if format == "html":
        from attune_ops.render.html import page

        made = page(_name(value).capitalize(), made)
    return scrub(made, secrets)


def form(value: object, name: str) -> Any:
    """One form of a value, as the module docstring lists them; raises `ConfigError` where there is none."""
    own = getattr(module_of(type(value)), f"as_{name}", None)
    made = own(value) if own is not None else _derived(value, name)
    if name in HUMAN:
        from attune_ops.render.text import visible_lines

        return visible_lines(made)  # a renderer escapes names; this holds also where one forgot
    return made


def _derived(value: object, name: str) -> Any:
    """A form that follows from others."""
    rows = getattr(module_of(type(value)), "rows", None)
    if rows is not None and name in ROWS:
        return form(rows(value), name)
    if name == "text":
        from attune_ops.render.terminal import plain

        return plain(form(value, "table"))
    if name == "html":
        from attune_ops.render.html import preformatted

        return preformatted(form(value, "text"))
    if name == "bundle":
        return _bundle(value)
    raise ConfigError(f"no {name} form of {_name(value)}; it has {', '.join(formats(value))}")


def formats(value: object) -> tuple[str, ...]:
    """The formats in which `show` prints a value: `table` first, then as its module defines them."""
    view = vars(module_of(type(value)))
    defined = [n.removeprefix("as_") for n in view if n.startswith("as_")]
    defined += ROWS if "rows" in view else ()
    return tuple(dict.fromkeys(["table", *(n for n in defined if n not in NOT_FOR_SHOW), "text", "html"]))


def _bundle(value: object) -> dict[str, Any]:
    """What a notebook is given: text always, HTML where Jinja2 is installed."""
    bundle = {"text/plain": form(value, "text")}
    with contextlib.suppress(ConfigError):  # without the extra a notebook still has the text
        bundle["text/html"] = form(value, "html")
    return bundle


def module_of(kind: type) -> ModuleType:
    """The view of a type, or of its nearest base that has one; raises `ConfigError` where there is none."""
    for base in kind.__mro__:
        for package in _packages(base.__module__):
            name = f"{package}.view_{_snake(base.__name__)}"
            if importlib.util.find_spec(name) is not None:
                return importlib.import_module(name)
    raise ConfigError(f"nothing here shows a {kind.__name__}")


def _packages(module: str) -> tuple[str, ...]:
    """Where the view of a type of this module may be: its own package, or here."""
    own = module.rpartition(".")[0]
    return (own, __name__) if own.startswith("attune_ops.") else (__name__,)


def _name(value: object) -> str:
    return _snake(type(value).__name__).replace("_", " ")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
