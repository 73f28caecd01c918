"""Functions of a room as methods: what `ops.messages`, `ops.policies` and `ops.health` are made of."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ClassVar, Concatenate, ParamSpec, TypeVar

from attune_ops.installation.config.settings import Settings

P = ParamSpec("P")
R = TypeVar("R")


class Operations:
    """The operations of a room on one installation."""

    label: ClassVar[str]

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    def __repr__(self) -> str:
        names = ", ".join(name for name in vars(type(self)) if not name.startswith("_") and name != "label")
        return f"<attune_ops {self.label} of {self._settings.amqp}: {names}>"


def operation(function: Callable[Concatenate[Settings, P], R]) -> Callable[Concatenate[Operations, P], R]:
    """A function as a method of `Operations`, which passes the settings; signature and docstring stay."""

    @wraps(function)
    def method(self: Operations, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._settings, *args, **kwargs)

    return method
