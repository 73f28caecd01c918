"""The explanation of one error of a broker or client, and those of a whole log."""

from __future__ import annotations

from typing import Literal

import msgspec

from attune_ops.model.display import Shown

Closes = Literal["channel", "connection"]


class Explanation(msgspec.Struct, frozen=True, omit_defaults=True):
    """One error with the number of its occurrences.

    `code` is the AMQP reply code, None for a client's own error. `text` is the error as found. `closes` is what the
    broker closes because of it. `meaning` is true on any broker, `here` on this installation. `operation` is the AMQP
    method that was refused. `line` is the first line with this error.
    """

    code: int | None
    name: str
    text: str
    meaning: str
    remedy: str
    closes: Closes | None = None
    operation: str | None = None
    subject: str | None = None
    argument: str | None = None
    wanted: str | None = None
    found: str | None = None
    here: tuple[str, ...] = ()
    commands: tuple[str, ...] = ()
    count: int = 1
    line: int = 1

    @property
    def heading(self) -> str:
        """Code and name: "404 NOT_FOUND"."""
        return f"{self.code} {self.name}" if self.code is not None else self.name


class Explanations(Shown, msgspec.Struct, frozen=True, tag_field="schema", tag="attune-ops/explain/1"):
    """Every error of a text, most frequent first. `checked` names the installation compared with, or why none was."""

    errors: tuple[Explanation, ...]
    checked: str = ""
