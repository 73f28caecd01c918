"""How values show themselves: each type has a view, found by convention and loaded on first use.

The view of a type is the module `view_NAME` beside it, for types of `model` here: `Health` → `doctor/view_health.py`.
It offers a form by defining a function `as_FORM(value)`:

- `as_table` → a rich renderable (or text) for a terminal of any width
- `as_text` → uncut text without colours; made from `as_table` where it is not defined
- `as_json` → plain data for JSON, with its `schema` member
- `as_html` → an HTML fragment; made from the text where it is not defined
- `as_frame` → a pandas DataFrame, `as_chart` → an altair chart
- `as_csv`, `as_raw_csv` (the data exactly), `as_markdown`, `as_junit`, `as_svg`, … → the text itself

or by defining what forms are derived from:

- `lines(value, limit) -> Iterator[Line]` → the table, at most `SHOWN` items of a kind in it, and the text, `limit` None
- `rows(value) -> Table` → CSV, Markdown and DataFrame; `summary(value)`, if it is defined, stands below the Markdown

A new type or form needs no edit elsewhere.
"""

from __future__ import annotations

import importlib
import importlib.util
import io
import os
import re
import sys
from types import ModuleType
from typing import Any

from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import Secret, scrub, scrubbed
from attune_ops.render import text, wire

NOT_PRINTED = ("frame", "bundle", "chart", "raw_csv")
HUMAN = ("text", "markdown", "html")
ROWS = ("csv", "raw_csv", "markdown", "frame")  # the forms that are derived from `rows`
SHOWN = 20  # items of one kind that a terminal is shown; every other form has them all


def show(
    value: object,
    format: str = "table",
    color: bool | None = None,
    secrets: tuple[Secret, ...] = (),
    *,
    raw: bool = False,
) -> None:
    """Prints a value on stdout in one of its formats, `secrets` masked in it; CSV with `raw` is the data exactly.

    A table fits the terminal, or COLUMNS where that is set; in a pipe without it, it is uncut. With `color` None,
    colours are for a terminal, or where FORCE_COLOR is set, and NO_COLOR switches them off.
    Raises `ConfigError` naming the formats that the value has.
    """
    if format not in formats(value):
        raise ConfigError(f"no format {format!r} for {_name(value)}; it has {', '.join(formats(value))}")
    terminal, columns = sys.stdout.isatty(), _columns()
    forced = color is True or os.environ.get("FORCE_COLOR", "0") not in ("", "0")
    if format != "table" or not (terminal or columns or forced):
        wire.write(written(value, "text" if format == "table" else format, secrets, raw=raw))
        return
    from rich.console import Console

    from attune_ops.render.terminal import UNCUT, Visible

    off = color is False or (color is None and bool(os.environ.get("NO_COLOR")))
    colour: Any = None if off else "auto" if terminal else "standard"
    console = Console(
        file=sys.stdout if terminal else io.StringIO(),
        width=None if terminal else columns or UNCUT,
        color_system=colour if terminal or forced else None,
        no_color=off,
        highlight=False,
    )
    # A command to copy is wrapped by the terminal.
    with text.masking(secrets):
        console.print(Visible(form(value, "table"), secrets), crop=False, soft_wrap=not (terminal or columns))
    if isinstance(console.file, io.StringIO):
        wire.write("\n".join(line.rstrip() for line in console.file.getvalue().splitlines()))


def _columns() -> int | None:
    """The width that `watch` and others give to a command in a pipe; None where it is not set or no number."""
    given = os.environ.get("COLUMNS", "")
    return int(given) if given.isdecimal() and int(given) > 0 else None


def written(value: object, format: str, secrets: tuple[Secret, ...] = (), *, raw: bool = False) -> str:
    """The text of a value in one of its formats as it is printed or written to a file, `secrets` masked in it."""
    made = form(value, "raw_csv" if raw and format == "csv" else format)
    if format == "json":
        shown = wire.json_text(made)
        return shown if scrub(shown, secrets) == shown else wire.json_text(scrubbed(made, secrets))
    if format == "html":
        from attune_ops.render.html import page

        made = page(_name(value).capitalize(), made)
    return scrub(made, secrets)


def form(value: object, name: str) -> Any:
    """One form of a value, as the module docstring lists them; raises `ConfigError` where there is none."""
    view = module_of(type(value))
    made = view.__dict__[f"as_{name}"](value) if f"as_{name}" in view.__dict__ else _derived(value, name, view)
    return text.visible_lines(made) if name in HUMAN else made  # a renderer escapes names; this holds where one forgot


def _derived(value: object, name: str, view: ModuleType) -> Any:
    """A form that follows from others."""
    if name in ROWS and hasattr(view, "rows"):
        made = form(view.rows(value), name)
        if name == "markdown" and hasattr(view, "summary"):
            return "\n".join([made, "", *(text.markdown(text.visible(s)) for s in view.summary(value).splitlines())])
        return made
    if name == "table" and hasattr(view, "lines"):
        from attune_ops.render.terminal import indented

        return indented(view.lines(value, SHOWN))
    if name == "text" and hasattr(view, "lines"):
        return text.indented(view.lines(value, None))
    if name == "text":
        made = form(value, "table")
        if isinstance(made, str):  # of a probe, which does not load rich
            return made
        from attune_ops.render.terminal import plain

        return plain(made)
    if name == "html":
        from attune_ops.render.html import preformatted

        return preformatted(form(value, "text"))
    if name == "bundle":
        return _bundle(value)
    raise ConfigError(f"no {name} form of {_name(value)}; it has {', '.join(formats(value))}")


def formats(value: object) -> tuple[str, ...]:
    """The formats in which `show` prints a value: `table` first, then as its view defines them."""
    view = vars(module_of(type(value)))
    defined = [n.removeprefix("as_") for n in view if n.startswith("as_")]
    defined += ROWS if "rows" in view else ()
    return tuple(dict.fromkeys(["table", *(n for n in defined if n not in NOT_PRINTED), "text", "html"]))


def _bundle(value: object) -> dict[str, Any]:
    """What a notebook is given: text and HTML."""
    return {"text/plain": form(value, "text"), "text/html": form(value, "html")}


def module_of(kind: type) -> ModuleType:
    """The view of a type, or of its nearest base that has one; raises `ConfigError` where there is none."""
    for base in kind.__mro__:
        for package in _packages(base.__module__):
            name = f"{package}.view_{_snake(base.__name__)}"
            if importlib.util.find_spec(name) is not None:
                return importlib.import_module(name)
    raise ConfigError(f"{kind.__name__} has no view")


def _packages(module: str) -> tuple[str, ...]:
    """Where the view of a type of this module may be: its own package, or here."""
    own = module.rpartition(".")[0]
    return (own, __name__) if own.startswith("attune_ops.") else (__name__,)


def _name(value: object) -> str:
    return _snake(type(value).__name__).replace("_", " ")


def _snake(name: str) -> str:
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", name).lower()
