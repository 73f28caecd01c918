"""Without `apply` nothing is changed: what a caller leaves out is the cautious choice."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from attune_ops.cleanup.close_connection import close_connection
from attune_ops.cleanup.reap import reap
from attune_ops.cleanup.retire import retire


def default(function: Callable[..., Any], name: str) -> Any:
    return inspect.signature(function).parameters[name].default


@pytest.mark.parametrize("function", [close_connection, reap, retire])
def test_a_dry_run_is_the_default(function: Callable[..., Any]) -> None:
    assert default(function, "apply") is False
    assert default(function, "confirm") is None


def test_reap_waits_ten_minutes_and_does_not_force_by_default() -> None:
    assert default(reap, "grace") == timedelta(minutes=10)
    assert default(reap, "force") is False
