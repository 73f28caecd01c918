"""A few words that show themselves like every other value."""

from __future__ import annotations

import msgspec

from attune_ops.model.display import Shown


class Notice(Shown, msgspec.Struct, frozen=True):
    """What a person is to know: a headline, and lines below it."""

    headline: str
    lines: tuple[str, ...] = ()
