"""The notebooks that come with the package: list, find, copy and open them."""

from __future__ import annotations

import importlib.util
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec

from attune_ops.model.docs_address import docs_address
from attune_ops.model.errors import ConfigError, install
from attune_ops.model.files import write_file
from attune_ops.model.table import Column, Kind, Table

COLUMNS = (
    Column("name", doc="the name for `notebook open` and `notebook run`; its number is enough"),
    Column("question", doc="the question that it answers"),
    Column("parameters", Kind.LIST, doc="its parameters besides env, apply and confirm", priority=2),
)
LINK = re.compile(r"\[(?P<text>[^]\[]+)\]\(\.\./docs/(?P<page>[\w/-]+)\.md(?:#(?P<anchor>[\w-]+))?\)")
COMMON = ("env", "apply", "confirm")


class Cell(msgspec.Struct):
    """The members of a cell that are read here."""

    cell_type: str
    source: str | list[str]
    metadata: dict[str, Any] = {}

    @property
    def text(self) -> str:
        """The source in one piece."""
        return self.source if isinstance(self.source, str) else "".join(self.source)


class Content(msgspec.Struct):
    """The members of a notebook file that are read here."""

    cells: list[Cell]


def folder() -> Path:
    """The folder of the notebooks: in the installed package, or beside it in an editable installation."""
    package = Path(__file__).parents[2]
    return next((f for f in (package / "notebooks", package.parent / "notebooks") if f.is_dir()), package)


def files() -> list[Path]:
    """The notebooks in their order."""
    return sorted(folder().glob("[0-9][0-9]-*.ipynb"))


def find(name: str) -> Path:
    """The notebook `06-orphans`, also as `orphans`, `06` or `6`; raises `ConfigError` with the names of all."""
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
    """The names in the cell tagged `parameters`, each with the source text of its default."""
    import ast

    cell = next((c for c in content.cells if "parameters" in c.metadata.get("tags", ())), None)
    body = ast.parse(cell.text).body if cell is not None else []
    return {ast.unparse(a.targets[0]): ast.unparse(a.value) for a in body if isinstance(a, ast.Assign)}


def copy(name: str, to: Path | None = None, docs_url: str | None = None) -> tuple[Path, bool]:
    """Copies a notebook into a folder (default: the current one); an existing copy is not changed.

    Its links to the documentation lead to the site at `docs_url`; without it they are the commands that print the
    pages. Returns the copy, and whether it is new. Undo: delete the copy. Raises `ConfigError`.
    """
    file = find(name)
    target = (to or Path()) / file.name
    if target.exists():
        return target, False
    write_file(str(target), _relinked(file.read_text(encoding="utf-8"), docs_url).encode(), "the notebook")
    return target, True


def _relinked(notebook: str, docs_url: str | None) -> str:
    """The text of a notebook that is in another folder than the documentation."""

    def linked(found: re.Match[str]) -> str:
        if docs_url is None:
            return (
                f"{found['text']} (`attune-ops docs {found['text'] if found['page'] == 'checks' else found['page']}`)"
            )
        return f"[{found['text']}]({docs_address(found['page'], found['anchor'] or '', docs_url)})"

    return LINK.sub(linked, notebook)


def open_lab(file: Path) -> int:
    """Opens a file in JupyterLab and returns its exit status when it ends; raises `ConfigError` without JupyterLab."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError(f"opening a notebook needs JupyterLab: {install('jupyter')}")
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(file)], check=False).returncode


def _title(content: Content) -> str:
    first = content.cells[0].text.splitlines()[0] if content.cells else ""
    return first.removeprefix("# ")


def _own(content: Content) -> tuple[str, ...]:
    return tuple(name for name in parameters(content) if name not in COMMON)
