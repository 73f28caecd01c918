"""A base for values that show themselves: text in a Python prompt, rich in a terminal, HTML in a notebook.

This room cannot import `render`: importing `attune_ops` sets `form` to a function that loads `attune_ops.render` on
first use.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pandas as pd


def _not_plugged_in(value: object, name: str) -> Any:
    raise RuntimeError(f"no {name} form of {type(value).__name__}: attune_ops was not imported as a package")


form: Callable[[object, str], Any] = _not_plugged_in


class Shown:
    """Mixin of a value with a view; each form has the same numbers."""

    __slots__ = ()

    def __repr__(self) -> str:
        text: str = form(self, "text")
        return text

    __str__ = __repr__

    def __rich__(self) -> Any:
        return form(self, "table")

    def _repr_html_(self) -> str:
        html: str = form(self, "html")
        return html

    def _repr_mimebundle_(self, include: Any = None, exclude: Any = None) -> dict[str, Any]:
        bundle: dict[str, Any] = form(self, "bundle")
        return bundle

    @property
    def frame(self) -> pd.DataFrame:
        """A new pandas DataFrame with typed columns, units in its `attrs`. Needs the extra `notebook`.

        Each access makes another copy: keep it in a variable to change it.
        """
        frame: pd.DataFrame = form(self, "frame")
        return frame
