"""A few words that show themselves like every other value; apart from `display`, which loads no library."""

from __future__ import annotations

import msgspec

from attune_ops.model.display import Shown


class Notice(Shown, msgspec.Struct, frozen=True):
    """A short text for a person: a headline, and lines below it."""

    headline: str
    lines: tuple[str, ...] = ()
