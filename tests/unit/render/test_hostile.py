"""Every type that shows itself, filled with hostile text wherever it holds text, in each of its forms."""

from __future__ import annotations

import io
import json
import random
import re
import xml.etree.ElementTree as ET
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from enum import Enum
from html.parser import HTMLParser
from pathlib import Path
from tempfile import TemporaryDirectory
from types import UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.console import Console

from attune_ops.model.display import Shown
from attune_ops.model.table import Column, Kind, Table
from attune_ops.model.topology import ID, Per, Queue
from attune_ops.monitoring import history
from attune_ops.monitoring.history import History
from attune_ops.render import form, formats
from attune_ops.render.terminal import Visible
from attune_ops.render.wire import json_text
from tests.hostile import NAMES, is_safe
from tests.unit.facts import queue
from tests.unit.monitoring.readings import at, record, whole
from tests.unit.render.test_every_type import EVERY

NOW = datetime(2026, 1, 16, 12, 0, tzinfo=UTC)


class Filler:
    """Makes values of a type; every text in them is one of the names."""

    def __init__(self, seed: int, names: Sequence[str] = NAMES) -> None:
        self.random, self.names = random.Random(seed), names

    def value(self, hint: Any) -> Any:
        plain: dict[Any, Callable[[], Any]] = {
            bool: lambda: self.random.random() < 0.5,
            int: lambda: self.random.randrange(5),
            float: lambda: self.random.random() * 1000,
            type(None): lambda: None,
            datetime: lambda: NOW,
            timedelta: lambda: timedelta(seconds=self.random.randrange(100_000)),
        }
        if hint in (str, Any, object):
            return self.random.choice(self.names)
        if hint in plain:
            return plain[hint]()
        if isinstance(hint, type) and issubclass(hint, Enum):
            return self.random.choice(list(hint))
        if hint is Table:
            return self.table()
        if hint is History:
            return self.history()
        if isinstance(hint, type) and issubclass(hint, msgspec.Struct):
            hints = get_type_hints(hint)
            made = hint(**{f.name: self.value(hints[f.name]) for f in msgspec.structs.fields(hint)})
            if isinstance(made, Queue) and made.per is Per.WORKER:  # a topology without the id is refused when read
                return msgspec.structs.replace(made, name=f"{made.name}{ID}")
            return made
        return self.generic(get_origin(hint), get_args(hint))

    def generic(self, origin: Any, given: tuple[Any, ...]) -> Any:
        if origin is Literal:
            return self.random.choice(given)
        if origin in (Union, UnionType):
            return self.value(self.random.choice(given))
        if origin is tuple and given[-1] is ...:
            return tuple(self.value(given[0]) for _ in range(self.random.randrange(4)))
        if origin is tuple:
            return tuple(map(self.value, given))
        if origin is list:
            return [self.value(given[0])]
        if origin in (dict, Mapping):
            return {self.value(given[0]): self.value(given[1]) for _ in range(2)}
        if origin is Callable:
            return lambda *_: iter(())
        raise AssertionError(f"no filling for {origin}{given}")

    def table(self) -> Table:
        """A table, whose cells must fit its columns."""
        names = self.random.sample(self.names, 3)
        columns = (Column(names[0]), Column(names[1], Kind.LIST), Column(names[2], Kind.CATEGORY))
        row = (names[0], (names[1], names[2]), names[2])
        return Table(names[0], columns, (row,) * self.random.randrange(3), NOW, (names[1],), (names[0],))

    def history(self) -> History:
        """A recorded history of queues of these names."""
        found = tuple(queue(name, messages=self.random.randrange(1000)) for name in self.random.sample(self.names, 3))
        with TemporaryDirectory() as folder:
            return history.read(record(Path(folder) / "h", at(0, queues=found), at(10, queues=found)), whole())


class Tags(HTMLParser):
    """The tags and attributes of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: set[str] = set()
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes |= {name for name, _ in attrs}


def terminal(renderable: Any) -> str:
    """What a terminal gets, but for rich's own colours and links."""
    console = Console(file=io.StringIO(), width=80, force_terminal=True, color_system="standard", force_jupyter=False)
    with console.capture() as capture:
        console.print(Visible(renderable))
    return re.sub(r"\x1b\[[0-9;]*m|\x1b\]8;[!-~]*\x1b\\", "", capture.get())


# A route's parts refer to each other, a page is this package's own text: their own tests fill them.
FILLED = sorted(set(EVERY) - {"Route", "CheckPages"})


@pytest.mark.parametrize("name", FILLED)
@settings(max_examples=25, deadline=None)
@given(seed=st.integers(0, 10**6))
def test_hostile_text_does_nothing(name: str, seed: int) -> None:
    value: Shown = Filler(seed).value(EVERY[name])
    for kind in set(formats(value)) - {"toml"}:  # which has no word for None
        made = terminal(form(value, "table")) if kind == "table" else form(value, kind)
        if kind == "json":
            text = json_text(made)
            assert json.loads(text)["schema"].startswith("attune-ops/")
            assert is_safe(text)
        elif kind == "html":
            page = Tags(made)
            assert not page.tags & {"script", "img", "iframe"}
            assert not {a for a in page.attributes if a.startswith("on")}
            assert is_safe(made.replace("\t", " "))
        elif kind in ("svg", "junit"):
            ET.fromstring(made)
        else:
            assert is_safe(made.replace("\t", " ").replace("\r\n", "\n")), kind
