"""Diagnostics and operations for the RabbitMQ side of Attune.

A notebook begins with `connect`. Importing the package loads neither pandas, ipywidgets nor pika.
"""

from __future__ import annotations

__all__ = ["AttuneOpsError", "Ops", "__version__", "connect", "dashboard", "doctor_all"]

from typing import TYPE_CHECKING, Any

from attune_ops.model import display
from attune_ops.model.version import __version__

if TYPE_CHECKING:
    from attune_ops.doctor.diagnose_all import doctor_all
    from attune_ops.model.errors import AttuneOpsError
    from attune_ops.notebook.dashboard import dashboard
    from attune_ops.ops import Ops, connect

_HOME = {
    "connect": "attune_ops.ops",
    "Ops": "attune_ops.ops",
    "AttuneOpsError": "attune_ops.model.errors",
    "dashboard": "attune_ops.notebook.dashboard",
    "doctor_all": "attune_ops.doctor.diagnose_all",
}


def _form(value: object, name: str) -> Any:
    from attune_ops.model.secret import held, scrubbed
    from attune_ops.render import form

    made = form(value, name)
    return scrubbed(made, held()) if isinstance(made, (str, dict)) else made  # text at a prompt or in a notebook


# A value shows itself through its view; `model` may not import `render`.
display.form = _form


def __getattr__(name: str) -> Any:
    if name in _HOME:
        import importlib

        return getattr(importlib.import_module(_HOME[name]), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def load_ipython_extension(shell: Any) -> None:
    """Adds the line magic `%attune COMMAND` after `%load_ext attune_ops`."""
    from attune_ops.cli._magic import attune

    shell.register_magic_function(attune, "line", "attune")


def __dir__() -> list[str]:
    return sorted(__all__)
