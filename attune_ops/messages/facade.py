"""`ops.messages`: the operations of this room on one installation."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import Concatenate, ParamSpec, TypeVar

from attune_ops.installation.config import Settings
from attune_ops.messages.drain import drain
from attune_ops.messages.move import move
from attune_ops.messages.peek import peek
from attune_ops.messages.restore import restore

P = ParamSpec("P")
R = TypeVar("R")


def _method(function: Callable[Concatenate[Settings, P], R]) -> Callable[Concatenate[Messages, P], R]:
    """The function as a method: it gets the installation's settings."""

    @wraps(function)
    def method(self: Messages, /, *args: P.args, **kwargs: P.kwargs) -> R:
        return function(self._settings, *args, **kwargs)

    return method


class Messages:
    """Peeks at, drains, restores and moves messages without losing any.

    `filters` are texts like "type=ExecutionRequested", "age>1h", "$.payload.execution_id=7"; all must match. A method
    changes something only with `apply=True`, and returns the dry run without; `confirm` is the environment's name
    where it is protected.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings

    peek = _method(peek)
    drain = _method(drain)
    restore = _method(restore)
    move = _method(move)

    def __repr__(self) -> str:
        return f"<attune_ops messages of {self._settings.amqp}: peek, drain, restore, move>"
