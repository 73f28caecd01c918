"""Tables: looking for rows, sorting, choosing columns."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.model.errors import ConfigError
from attune_ops.model.table import Column, Kind, Table

NOW = datetime(2026, 1, 16, tzinfo=UTC)


def table(*rows: tuple[str | None, int | None]) -> Table:
    return Table("queues", (Column("name"), Column("messages", Kind.INTEGER, priority=3)), rows, NOW)


def test_numbers_in_names_sort_as_numbers_and_none_comes_last() -> None:
    made = table(("w.10", None), ("w.2", 3), ("w.02", 1), (None, 0), ("W", 7))
    assert made.sorted("name").column("name") == ("W", "w.2", "w.02", "w.10", None)
    assert made.sorted("messages").column("messages") == (0, 1, 3, 7, None)
    assert made.sorted("-messages").column("messages") == (7, 3, 1, 0, None)


def test_sorting_by_two_columns() -> None:
    made = table(("b", 1), ("a", 1), ("c", 2)).sorted("-messages", "name")
    assert made.column("name") == ("c", "a", "b")


@given(st.lists(st.tuples(st.none() | st.text(), st.none() | st.integers())))
def test_sorting_takes_any_name_and_loses_no_row(rows: list[tuple[str | None, int | None]]) -> None:
    made = table(*rows).sorted("name", "-messages")
    assert sorted(map(str, made.rows)) == sorted(map(str, rows))


@pytest.mark.parametrize(
    ("pattern", "found"),
    [
        ("worker.*", {"worker.1.executions"}),
        ("WORKER.*", set()),
        ("worker", set()),
        ("/^worker/", {"worker.1.executions"}),
        ("/exec/", {"worker.1.executions", "attune.executions.queue"}),
        ("*queue", {"attune.executions.queue"}),
        ("?", {"/"}),
        ("/", {"/"}),
    ],
)
def test_patterns(pattern: str, found: set[str]) -> None:
    made = table(("worker.1.executions", 1), ("attune.executions.queue", 1), ("/", 1), (None, 1))
    assert set(made.matching(pattern).column("name")) == found


def test_a_chosen_column_always_stays_and_an_unknown_one_is_named() -> None:
    assert table().select(["messages"]).columns[0].priority == 1
    with pytest.raises(ConfigError, match="no column 'size' in queues; it has name, messages"):
        table().sorted("-size")


def test_limit_says_what_it_leaves_out() -> None:
    made = table(("a", 1), ("b", 2), ("c", 3))
    assert made.limit(1).notes == ("2 more rows not shown (limit 1)",)
    assert made.limit(3).notes == ()
    assert made.limit(None) is made


def test_a_table_is_used_as_a_sequence_of_rows() -> None:
    made = table(("a", 1), ("b", None))
    assert len(made) == 2
    assert made
    assert not table()
    assert [row["name"] for row in made] == ["a", "b"]
    assert made["messages"] == (1, None)
    assert made.to_dicts() == [{"name": "a", "messages": 1}, {"name": "b", "messages": None}]
    with pytest.raises(ConfigError, match="no column 'msgs' in queues; it has name, messages"):
        made["msgs"]


def test_a_table_as_a_dataframe_is_a_copy() -> None:
    import pandas as pd

    made = table(("a", 1), ("b", None))
    frame = made.to_pandas()
    frame["messages"] = 7
    assert made.frame["messages"].tolist()[0] == 1
    pd.testing.assert_frame_equal(made.frame, made.to_pandas())
    exchanged = made.__dataframe__()
    assert exchanged.num_rows() == 2
    assert list(exchanged.column_names()) == ["name", "messages"]
    import pyarrow as pa

    assert pa.table(made).to_pylist() == made.to_dicts()


def test_columns_have_their_names_in_json() -> None:
    made = Table("workers", (Column("name"), Column("age", Kind.AGE)), (("a", None),), NOW)
    assert made.select(["age_ms"]).columns[0].name == "age"
