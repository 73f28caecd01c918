"""The notebooks that come with the package, by number, name or both."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import msgspec

from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table

COLUMNS = (
    Column("name", doc="what `notebook run` is given; its number is enough"),
    Column("question", doc="its title"),
    Column("parameters", Kind.LIST, doc="what can be set beside env, apply and confirm", priority=2),
)
COMMON = ("env", "apply", "confirm")


class Cell(msgspec.Struct):
    """A cell, as far as it is read here."""

    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The source in one piece."""
        return self.source if isinstance(self.source, str) else "".join(self.source)


class Content(msgspec.Struct):
    """A notebook's file, as far as it is read here."""

    cells: list[Cell]


def folder() -> Path:
    """Where the notebooks are: in the installed package, or beside it where it is installed to be edited."""
    package = Path(__file__).parents[2]
    return next((f for f in (package / "notebooks", package.parent / "notebooks") if f.is_dir()), package)


def files() -> list[Path]:
    """The notebooks in their order."""
    return sorted(folder().glob("[0-9][0-9]-*.ipynb"))


def find(name: str) -> Path:
    """The notebook `06-orphans`, also as `orphans`, `06` or `6`; raises `ConfigError` naming those there are."""
    there = {file.stem: file for file in files()}
    for stem, file in there.items():
        number, _, words = stem.partition("-")
        if name.removesuffix(".ipynb") in (stem, words, number, number.lstrip("0")):
            return file
    raise ConfigError(f"no notebook {name!r}; there are {', '.join(there) or 'none in this installation'}")


def notebooks() -> Table:
    """Every notebook with the question that it answers."""
    rows = tuple((file.stem, _title(content), _own(content)) for file, content in ((f, read(f)) for f in files()))
    return Table("notebooks", COLUMNS, rows, None)


def read(file: Path) -> Content:
    """The cells of a notebook."""
    return msgspec.json.decode(file.read_bytes(), type=Content)


def parameters(content: Content) -> dict[str, str]:
    """The names in the cell tagged `parameters`, each with its default as it stands there."""
    import ast

    cell = next((c for c in content.cells if "parameters" in c.metadata.get("tags", ())), None)
    body = ast.parse(cell.text).body if cell is not None else []
    return {ast.unparse(a.targets[0]): ast.unparse(a.value) for a in body if isinstance(a, ast.Assign)}


def _title(content: Content) -> str:
    first = content.cells[0].text.splitlines()[0] if content.cells else ""
    return first.removeprefix("# ")


def _own(content: Content) -> tuple[str, ...]:
    return tuple(name for name in parameters(content) if name not in COMMON)
