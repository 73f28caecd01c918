"""The checks: a file for each subject, a generator for each check, found by convention.

A check takes `Facts` and yields `Problem`s. It has no clock, does no I/O, prints nothing and calls no other check. It
never asks whether a source is missing: its `needs` do that. Its docstring is its explanation page. `causes.py` says
which findings explain which.

Codes go in hundreds by group: AT1xx reach, AT2xx topology, AT3xx routes, AT4xx workers, AT5xx flow,
AT6xx design, AT7xx upgrade. A code is never reused.
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Callable

from attune_ops.doctor.findings import Check, CheckFunction, Severity
from attune_ops.model.facts import Facts, Source

GROUPS = ("reach", "topology", "routes", "workers", "flow", "design", "upgrade")


def check(
    code: str,
    name: str,
    title: str,
    severity: Severity,
    *,
    needs: tuple[Source, ...] = (),
    needs_attempt: tuple[Source, ...] = (),
    needs_response: tuple[Source, ...] = (),
    required: bool | None = None,
    may_recover: bool | None = None,
    group: str | None = None,
    passive: bool = False,
    unknown: Callable[[Facts], str | None] | None = None,
    any_broker: bool | None = None,
) -> Callable[[CheckFunction], CheckFunction]:
    """Makes a generator function a check; `title` is a positive sentence, and its denial is the finding.

    The parameters are those of `Check`. Their defaults follow from the group, which follows from the code: checks of
    the group upgrade are not required, and checks of design and upgrade do not recover. Checks of the groups reach and
    upgrade, and those of the registry alone, run on any broker.
    """
    group = group or GROUPS[int(code[2]) - 1]
    required = group != "upgrade" if required is None else required
    may_recover = group not in ("design", "upgrade") if may_recover is None else may_recover

    if any_broker is None:
        any_broker = group in ("reach", "upgrade") or (group == "workers" and Source.BROKER not in needs)

    def mark(function: CheckFunction) -> CheckFunction:
        function.check = Check(  # type: ignore[attr-defined]
            code,
            name,
            group,
            title,
            severity,
            needs,
            function,
            required,
            needs_attempt,
            needs_response,
            may_recover,
            passive,
            unknown,
            any_broker,
        )
        return function

    return mark


def all_checks() -> tuple[Check, ...]:
    """Every check of every module on this package's path, by code; raises `ValueError` for a duplicate code."""
    found: dict[str, Check] = {}
    for module_info in pkgutil.iter_modules(__path__):
        module = importlib.import_module(f"{__name__}.{module_info.name}")
        for value in vars(module).values():
            made = getattr(value, "check", None)
            if not isinstance(made, Check) or value.__module__ != module.__name__:
                continue
            if made.code in found:
                raise ValueError(f"code {made.code} is used by {found[made.code].name} and {made.name}")
            found[made.code] = made
    return tuple(found[code] for code in sorted(found))
