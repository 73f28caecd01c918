"""The forms of a table: the same values in each, whatever the names are."""

from __future__ import annotations

import csv
import html as escaping
import io
import json
import re
from datetime import UTC, datetime, timedelta
from html.parser import HTMLParser
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.cells import cell_len
from rich.console import Console

from attune_ops.cli._options import chosen
from attune_ops.inventory.queues import queues
from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table
from attune_ops.render import form, formats, show
from attune_ops.render.fitting import fitted
from attune_ops.render.text import cell, escaped, visible
from tests.hostile import NAMES, is_safe, names
from tests.unit.facts import NOW, facts

COLUMNS = (
    Column("name"),
    Column("type", Kind.CATEGORY, priority=3),
    Column("messages", Kind.INTEGER, "messages"),
    Column("rate", Kind.NUMBER, "messages/s", priority=4),
    Column("memory", Kind.INTEGER, "bytes", priority=4),
    Column("durable", Kind.FLAG, priority=5),
    Column("since", Kind.TIME, priority=5),
    Column("age", Kind.AGE, priority=2),
    Column("keys", Kind.LIST, priority=2),
)
ROW = ("q", "classic", 3, 1.5, 2048, True, datetime(2026, 1, 16, 12, 0, 1, tzinfo=UTC), timedelta(seconds=90), ("a",))
NOT_TOLD = ("young", None, None, None, None, None, None, None, None)


def table(*rows: tuple[Any, ...], notes: tuple[str, ...] = ()) -> Table:
    return Table("queues", COLUMNS, rows, NOW, notes)


def named(*found: str) -> Table:
    return Table("queues", (Column("name"), Column("keys", Kind.LIST)), tuple((n, (n, n)) for n in found), NOW, found)


def rendered(value: Table, width: int) -> str:
    console = Console(file=io.StringIO(), width=width, color_system="truecolor", force_terminal=True)
    with console.capture() as capture:
        console.print(form(value, "table"))
    return re.sub(r"\x1b\[[0-9;]*m", "", capture.get())


class Text(HTMLParser):
    """The texts and the tags of a page."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.cells: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: object) -> None:
        self.tags.add(tag)
        if tag == "td":
            self.cells.append("")

    def handle_data(self, data: str) -> None:
        if self.cells:
            self.cells[-1] += data


def test_what_was_not_told_is_a_dash_and_never_zero() -> None:
    for name in ("text", "markdown", "html"):
        assert form(table(NOT_TOLD), name).count("—") == len(COLUMNS) - 1
    assert form(table(NOT_TOLD), "json")["rows"][0]["messages"] is None
    assert form(table(NOT_TOLD), "csv").splitlines()[1] == "young,,,,,,,,"
    assert table(NOT_TOLD).frame.isna().sum().sum() == len(COLUMNS) - 1


def test_json() -> None:
    made = form(table(ROW, notes=("old",)), "json")
    assert made == {
        "schema": "attune-ops/table/1",
        "name": "queues",
        "taken_at": "2026-01-16T12:00:00Z",
        "columns": ["name", "type", "messages", "rate", "memory", "durable", "since", "age_ms", "keys"],
        "rows": [
            {
                "name": "q", "type": "classic", "messages": 3, "rate": 1.5, "memory": 2048, "durable": True,
                "since": "2026-01-16T12:00:01Z", "age_ms": 90000.0, "keys": ["a"],
            }
        ],
        "notes": ["old"],
    }  # fmt: skip


def test_csv_is_rfc_4180() -> None:
    text = form(table(ROW), "csv")
    assert text == (
        "name,type,messages,rate,memory,durable,since,age_ms,keys\r\n"
        'q,classic,3,1.5,2048,true,2026-01-16T12:00:01Z,90000.0,"[""a""]"\r\n'
    )


def test_text_is_uncut_and_aligned() -> None:
    long = "x" * 300
    lines = form(table(ROW, (long, *ROW[1:])), "text").splitlines()
    assert lines[2].startswith(long)
    assert lines[0].index("type") == lines[1].index("classic") == lines[2].index("classic")


def test_frame_has_typed_columns_also_without_rows() -> None:
    for value in (table(ROW, NOT_TOLD), table()):
        frame = value.frame
        assert [str(t) for t in frame.dtypes] == [
            "string", "category", "Int64", "Float64", "Int64", "boolean", "datetime64[ns, UTC]",
            "timedelta64[ns]", "object",
        ]  # fmt: skip
        assert list(frame.columns) == [c.name for c in COLUMNS]
        assert frame.attrs["units"]["memory"] == "bytes"
    assert table(ROW).frame["since"][0] == ROW[6]


def test_the_prompt_and_the_notebook_get_the_same_values() -> None:
    value = table(ROW, notes=("messages: live",))
    bundle = value._repr_mimebundle_()
    assert repr(value) == str(value) == bundle["text/plain"]
    assert set(bundle) == {"text/plain", "text/html"}
    for text in bundle.values():
        assert all(
            word in text for word in ("classic", "2 KiB", "1 min 30 s", "2026-01-16 12:00:01Z", "messages: live")
        )


@pytest.mark.parametrize("width", [80, 100, 140, 400])
def test_a_terminal_of_any_width_shows_names_and_numbers_in_full(width: int) -> None:
    value = queues(facts())
    shown = rendered(value, width)
    assert max(map(cell_len, shown.splitlines())) <= width
    assert all(str(name) in shown for name in value.column("name"))
    assert "messages" in shown
    assert "consumers" in shown
    left_out = re.search(r"^(\d+) more columns?: ", shown, re.MULTILINE)
    assert len(shown.splitlines()[0].split()) + (int(left_out[1]) if left_out else 0) == len(value.columns)


def test_only_a_command_with_the_option_names_it() -> None:
    value = queues(facts())
    assert re.search(r"^\d+ more columns: in a wider terminal$", rendered(value, 80), re.MULTILINE)
    assert re.search(
        r"^\d+ more columns: --columns NAME,… or a wider terminal$", rendered(chosen(value), 80), re.MULTILINE
    )


def test_columns_chosen_by_name_stay() -> None:
    value = queues(facts()).select(c.name for c in queues(facts()).columns)
    assert "more columns" not in rendered(value, 80)


@pytest.mark.parametrize("name", NAMES)
def test_hostile_names_in_a_terminal(name: str) -> None:
    shown = rendered(named(name), 80)
    assert is_safe(shown)
    assert max(map(cell_len, shown.splitlines())) <= 80
    joined = "".join(line[:60].strip() for line in shown.splitlines())
    wanted = visible(name) or '""'
    assert wanted.replace(" ", "")[:20] in joined.replace(" ", "")


@given(st.lists(names, min_size=1, max_size=3))
def test_hostile_names_in_every_human_form(found: list[str]) -> None:
    value = named(*found)
    for kind in ("text", "markdown", "html"):
        assert is_safe(form(value, kind))
    text = form(value, "text")
    assert len(text.split("\n")) == 1 + len(found) + 1 + len(found)  # header, rows, empty line, notes
    assert all((visible(name) or '""') in text for name in found)


@given(st.lists(names, max_size=3))
def test_hostile_names_are_exact_for_programs(found: list[str]) -> None:
    value = named(*found)
    from attune_ops.render.wire import json_text

    text = json_text(form(value, "json"))
    assert is_safe(text)
    assert [r["name"] for r in json.loads(text)["rows"]] == found
    records = list(csv.reader(io.StringIO(form(value, "raw_csv"), newline="")))
    assert [r[0] for r in records[1:]] == found
    assert list(value.frame["name"]) == found


@given(st.lists(names, max_size=3))
def test_hostile_names_in_csv_are_no_commands(found: list[str]) -> None:
    text = form(named(*found), "csv")
    assert is_safe(text.replace("\r\n", "\n"))
    shown = [r[0] for r in csv.reader(io.StringIO(text, newline=""))][1:]
    assert not [s for s in shown if s.lstrip()[:1] in tuple("=+-@")]
    assert [s.removeprefix("'") for s in shown] == [escaped(n).removeprefix("'") for n in found]


@pytest.mark.parametrize("name", ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", " -x", "＝1", "-1+cmd|' /C calc'!A0"])
def test_a_formula_begins_with_an_apostrophe(name: str) -> None:
    (_, (shown, *_)) = csv.reader(io.StringIO(form(named(name), "csv"), newline=""))
    assert shown == "'" + escaped(name)


def test_a_negative_number_stays_a_number() -> None:
    made = Table("t", (Column("n", Kind.INTEGER), Column("x", Kind.NUMBER)), ((-1, -2.5),), None)
    assert form(made, "csv") == "n,x\r\n-1,-2.5\r\n"


@given(st.lists(names, min_size=1, max_size=3))
def test_hostile_names_in_html_are_text(found: list[str]) -> None:
    page = Text(form(named(*found), "html"))
    assert page.tags <= {"div", "style", "p", "strong", "table", "thead", "tbody", "tr", "th", "td"}
    assert [c.strip() for c in page.cells[::2]] == [(visible(n) or '""').strip() for n in found]


@given(names)
def test_hostile_names_in_markdown_stay_in_their_cell(name: str) -> None:
    line = form(named(name), "markdown").splitlines()[2]
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", line)) == 3
    assert "<" not in line
    inner = line.split(" | ")[0].removeprefix("| ")
    unescaped = re.sub(r"\\([!-/:-@\[-`{-~])", r"\1", inner)
    assert escaping.unescape(unescaped) == (visible(name) or '""') or "&" in name


def test_formats_and_an_unknown_one() -> None:
    assert formats(table()) == ("table", "text", "json", "csv", "markdown", "html")
    with pytest.raises(ConfigError, match="no format 'junit' for table; it has table, text, json, csv, markdown, html"):
        show(table(), "junit")


def test_a_pipe_gets_everything_and_no_colours(capsys: pytest.CaptureFixture[str]) -> None:
    for kind in formats(table(ROW)):
        show(table(ROW), kind)
        out = capsys.readouterr().out
        assert "\x1b" not in out
        assert "classic" in out
        assert out.endswith("\n")


@pytest.mark.parametrize(
    ("value", "kind", "text"),
    [
        (timedelta(seconds=0.25), Kind.AGE, "0.2 s"),
        (timedelta(seconds=59.7), Kind.AGE, "1 min"),
        (timedelta(seconds=3599), Kind.AGE, "59 min 59 s"),
        (timedelta(days=2, hours=3, minutes=4), Kind.AGE, "2 d 3 h"),
        (timedelta(seconds=-90), Kind.AGE, "-1 min 30 s"),
        (0, Kind.INTEGER, "0"),
        (1234567, Kind.INTEGER, "1234567"),
        (123456.7, Kind.NUMBER, "123457"),
        (0.1234, Kind.NUMBER, "0.123"),
        ((), Kind.LIST, ""),
        ("", Kind.TEXT, '""'),
    ],
)
def test_cells(value: Any, kind: Kind, text: str) -> None:
    assert cell(value, Column("c", kind)) == text


@pytest.mark.parametrize("width", [20, 40, 60, 80])
def test_a_pipe_that_a_person_reads_gets_the_columns_that_have_room(width: int) -> None:
    found = fitted(table(ROW, notes=("live",)), width)
    left_out = len(COLUMNS) - len(found.columns)
    header, row, _, live, more = form(found, "text").splitlines()
    assert max(len(header), len(row)) <= width
    assert live == "live"
    assert more.startswith(f"{left_out} more column")


def test_where_all_columns_have_room_nothing_is_said() -> None:
    assert fitted(table(ROW), 200) == table(ROW)
