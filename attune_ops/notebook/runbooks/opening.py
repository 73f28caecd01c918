"""Copying a notebook to where it may be changed, and opening it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

from attune_ops.model.errors import ConfigError
from attune_ops.model.files import write_file
from attune_ops.notebook.runbooks.shipped import find


def copy(name: str, to: Path | None = None) -> tuple[Path, bool]:
    """Copies a notebook into a folder (default: the current one); a copy that is there stays as it is.

    Returns the copy, and whether it is new. Delete it to undo. Raises `ConfigError`.
    """
    file = find(name)
    target = (to or Path()) / file.name
    if target.exists():
        return target, False
    write_file(str(target), file.read_bytes(), "the notebook")
    return target, True


def open_lab(file: Path) -> int:
    """Opens a file in JupyterLab and returns its exit status once it ends; raises `ConfigError` without it."""
    if importlib.util.find_spec("jupyterlab") is None:
        raise ConfigError("opening a notebook needs JupyterLab: pip install 'attune-ops[notebook]'")
    return subprocess.run([sys.executable, "-m", "jupyterlab", str(file)], check=False).returncode
