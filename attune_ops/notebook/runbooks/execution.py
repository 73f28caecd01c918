"""Runs a notebook of the package from top to bottom with parameters, with nbclient.

nbclient comes with Jupyter. papermill would add only the cell of parameters, and ten more packages.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Mapping
from typing import Any

from attune_ops.model.errors import ActionError, ConfigError, install
from attune_ops.model.files import check_target, write_file
from attune_ops.notebook.runbooks import catalog

INJECTED = "injected-parameters"  # papermill's tag, which other tools recognise


def run(
    name: str,
    output: str,
    values: Mapping[str, Any],
    *,
    environment: Mapping[str, str] | None = None,
    replace: bool = False,
    timeout: float = 600,
) -> None:
    """Runs the notebook in a kernel of its own and writes it with its outputs to `output`.

    `values` are its parameters, `environment` additional variables for the kernel, `timeout` in s for each cell. A cell
    that fails ends the run: the outputs so far are written, then `ActionError` is raised. Raises `ConfigError` for an
    unknown parameter, before anything runs, and without the extra `jupyter`.
    """
    try:
        import nbformat
        from nbclient import NotebookClient
        from nbclient.exceptions import CellExecutionError, CellTimeoutError, DeadKernelError
    except ImportError:
        raise ConfigError(f"running a notebook needs Jupyter: {install('jupyter')}") from None
    file = catalog.find(name)
    known = catalog.parameters(catalog.read(file))
    if unknown := sorted(set(values) - set(known)):
        raise ConfigError(f"{file.stem} has no parameter {unknown[0]!r}; it has {', '.join(known)}")
    check_target(output, replace=replace)
    made = nbformat.read(file, as_version=4)
    _inject(made, values)
    client = NotebookClient(made, timeout=timeout, kernel_name="python3")
    failed = None
    with tempfile.TemporaryDirectory(prefix="attune-ops-") as private:
        manager = client.create_kernel_manager()
        if os.name == "posix":
            # Over TCP every user of this host could connect. The path of a socket has at most about 100 bytes.
            manager.transport, manager.ip = "ipc", f"{private}/k"
        try:
            client.execute(cwd=os.getcwd(), env={**os.environ, **(environment or {})})
        except (CellExecutionError, CellTimeoutError, DeadKernelError) as e:
            failed = _reason(made) or str(e).splitlines()[0]
    write_file(output, nbformat.writes(made).encode(), "the notebook", replace=replace)
    if failed is not None:
        raise ActionError(f"{file.stem} failed: {failed} (outputs so far: {output})")


def _inject(made: Any, values: Mapping[str, Any]) -> None:
    """Inserts a cell with the values after the cell with the defaults."""
    import nbformat

    if not values:
        return
    at = next(i for i, c in enumerate(made.cells) if "parameters" in c.metadata.get("tags", ()))
    source = "\n".join(["# Parameters", *(f"{name} = {value!r}" for name, value in values.items())])
    cell = nbformat.v4.new_code_cell(source, metadata={"tags": [INJECTED]})
    made.cells.insert(at + 1, cell)


def _reason(made: Any) -> str | None:
    """The error of the cell that failed, in one line."""
    for i, cell in enumerate(made.cells, 1):
        for output in cell.get("outputs", ()):
            if output.output_type == "error":
                return f"cell {i}: {output.ename}: {output.evalue}"
    return None
