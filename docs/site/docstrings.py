"""For the Python reference: an example in a docstring is a block of code, as its `>>>` says."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import griffe

MADE = re.compile(r"(?P<maker>operation|staticmethod)\((?P<function>\w+)\)")
EXAMPLE = re.compile(r"^>>> .*(?:\n(?!\s*$).*)*", re.MULTILINE)


class Docstrings(griffe.Extension):
    """Fences each example, from its first `>>>` to the next empty line; shows functions that are methods."""

    def on_object(self, *, obj: griffe.Object, **kwargs: Any) -> None:
        """Rewrites the docstring of one function, class or module."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(lambda found: f"```pycon\n{found[0]}\n```", obj.docstring.value)

    def on_package(self, *, pkg: griffe.Module, **kwargs: Any) -> None:
        """Shows `peek = operation(peek)` in a class as the method that it is."""
        for module in _modules(pkg):
            for kind in module.classes.values():
                for name, member in list(kind.members.items()):
                    called = MADE.fullmatch(str(member.value)) if isinstance(member, griffe.Attribute) else None
                    if called is not None:
                        function = pkg[module.resolve(called["function"]).partition(".")[2]]
                        kind.set_member(name, _method(name, function, skip=called["maker"] == "operation"))


def _modules(module: griffe.Module) -> Iterator[griffe.Module]:
    yield module
    for inner in module.modules.values():
        if not inner.is_alias:
            yield from _modules(inner)


def _method(name: str, function: griffe.Function, skip: bool) -> griffe.Function:
    """A copy of the function, without the settings, which the class passes."""
    parameters = griffe.Parameters(*list(function.parameters)[1 if skip else 0 :])
    made = griffe.Function(name, parameters=parameters, returns=function.returns, docstring=function.docstring)
    made.lineno, made.endlineno = function.lineno, function.endlineno
    return made
