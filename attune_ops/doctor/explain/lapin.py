"""The AMQP errors in the spellings of lapin, the Rust client: for entries that do not quote the broker's sentence.

`AMQPError { kind: Soft(NOTFOUND), message: … }` is the debug format of amq-protocol, `AMQP soft error: NOT-FOUND: …`
its display format. The sentence of the broker in them has rules of its own; lapin also makes such errors itself.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

import msgspec

from attune_ops.doctor.explain.rule import Rule, needles_of

SENTENCE = 120  # characters within which the broker's sentence follows the kind


def rules(known: Iterable[Rule]) -> Iterator[Rule]:
    """A rule for each reply code, with the text of its last, most general rule."""
    for rule in {r.code: r for r in known if r.code is not None}.values():
        pattern = _pattern(rule.name)
        yield msgspec.structs.replace(rule, pattern=re.compile(pattern), needles=needles_of(pattern))


def _pattern(name: str) -> str:
    debug, shown = name.replace("_", ""), name.replace("_", "-")
    return (
        rf"(?:Soft|Hard)\(\s*{debug},?\s*\)(?![\s\S]{{0,{SENTENCE}}}?{name})"
        r"(?:\s*(?:,\s*message:\s*(?:ShortString\(\s*)?|=>\s*)\"?(?P<subject>[^\"\s][^\"\n]{0,254}))?|"
        rf"\b{shown}\b(?![^\n]{{0,{SENTENCE}}}{name})(?:: (?P<why>[^\n]*))?"
    )
