"""The recorded history on real files: trends, gaps, stories, and what is refused."""

from __future__ import annotations

import os
import shutil
import stat
from datetime import timedelta
from pathlib import Path
from typing import Any

import msgspec
import pandas as pd
import pyarrow as pa
import pyarrow.fs as pafs
import pyarrow.parquet as pq
import pytest

from attune_ops import render
from attune_ops.cli.history import _recorded
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from attune_ops.model.snapshot import ConsumerState
from attune_ops.monitoring import history, history_compare, history_prune, history_story, history_writer
from attune_ops.monitoring import history_files as files
from attune_ops.monitoring.history_read import Period, moment_of, period, recorded
from attune_ops.monitoring.history_schema import SCHEMA
from attune_ops.monitoring.recorder import Clusters, Recorder
from tests.unit import facts as small
from tests.unit.monitoring.readings import BEGIN, at, failed, first, queues, record, settings, whole


def until(seconds: float) -> dict[str, str]:
    """The period of a story."""
    return {"since": "2025-01-01", "until": f"{BEGIN + timedelta(seconds=seconds):%Y-%m-%dT%H:%M:%SZ}"}


def rows(made: history.History) -> dict[Any, dict[str, Any]]:
    return {r[made.table.columns[0].name]: r for r in made.table.records()}


def after(time: Any) -> int:
    """Seconds after the begin, of a cell."""
    return round(float((time - BEGIN).total_seconds()))


def test_trends_of_the_queues(tmp_path: Path) -> None:
    limited = small.queue("limited", messages=0, arguments={"x-max-length": 1000})
    depths = [msgspec.structs.replace(limited, messages=100 + 10 * i) for i in range(31)]
    source = record(tmp_path / "h", *(at(60 * i, queues=(*queues(calm=5), depths[i])) for i in range(31)), interval=60)
    found = rows(history.read(source, whole()))
    assert found["limited"]["last"] == found["limited"]["most"] == 400
    assert found["limited"]["p50"] == 250
    assert found["limited"]["growth"] == pytest.approx(600, rel=0.01)
    assert found["limited"]["full_in"].total_seconds() == pytest.approx(3600, rel=0.1)
    assert found["limited"]["trend"][-1] == "█"
    assert found["calm"]["growth"] == 0
    assert found["calm"]["full_in"] is None
    assert next(iter(found)) == "limited", "fastest growth first"
    assert found["calm"]["readings"] == 31


def test_the_time_between_two_readings_is_no_gap(tmp_path: Path) -> None:
    source = record(tmp_path, *(at(10 * i, queues=queues(q=i)) for i in range(7)))
    made = history.read(source, first(70))
    assert made.readings.gaps == ()
    assert rows(made)["q"]["trend"] == "▁▂▃▅▆▇█"


def test_a_queue_that_was_not_there_is_a_gap_in_its_line(tmp_path: Path) -> None:
    source = record(tmp_path, *(at(10 * i, queues=queues(**({"q": 1} if i != 3 else {}))) for i in range(7)))
    assert rows(history.read(source, whole()))["q"]["trend"] == "███·███"


def test_a_policy_limits_as_the_broker_takes_it(tmp_path: Path) -> None:
    both = small.queue("q", messages=1, arguments={"x-max-length": 50}, effective_policy={"max-length": 40})
    source = record(tmp_path, at(0, queues=(both,)), at(10, queues=(both,)))
    assert rows(history.read(source, whole()))["q"]["limit"] == 40


def test_the_last_reading_counts_where_a_value_is_gone(tmp_path: Path) -> None:
    """Of a limit that was removed and a queue that does not answer, no earlier value is shown as the present one."""
    limited = small.queue("q", messages=8, consumers=1, effective_policy={"max-length": 40})
    free = small.queue("q", messages=9, consumers=1, effective_policy={})
    silent = small.queue("silent", messages=None, consumers=None)
    made = record(tmp_path, at(0, queues=(limited, *queues(silent=5))), at(10, queues=(free, silent)))
    found = rows(history.read(made, whole()))
    assert [found["q"][c] for c in ("last", "limit", "full_in")] == [9, None, None]
    assert [found["silent"][c] for c in ("last", "consumers", "most")] == [None, None, 5]


def test_when_a_queue_came_and_went(tmp_path: Path) -> None:
    here, there = queues(stays=1), (*queues(stays=1), *queues(guest=3))
    source = record(tmp_path, *(at(10 * i, queues=there if 2 <= i <= 4 else here) for i in range(7)))
    found = rows(history.read(source, whole()))
    assert (found["guest"]["came"], found["guest"]["went"]) == (
        BEGIN + timedelta(seconds=20), BEGIN + timedelta(seconds=50),
    )  # fmt: skip
    assert (found["stays"]["came"], found["stays"]["went"]) == (None, None)
    assert found["guest"]["readings"] == 3


def test_a_gap_is_visible_and_nothing_is_invented(tmp_path: Path) -> None:
    source = record(
        tmp_path, *(at(10 * i, queues=queues(q=7)) for i in range(5)), failed(50, "refused by u:Sekrit42x"),
        failed(60), *(at(10 * i, queues=queues(q=7)) for i in (7, 8, 100)),
    )  # fmt: skip
    made = history.read(source, first(1000))
    gaps = history.read(source, first(1000), "gaps").table.records()
    seconds = [after(g["since"]) for g in gaps]
    assert [(s, g["over"], g["reason"]) for s, g in zip(seconds, gaps, strict=True)] == [
        (40, timedelta(seconds=30), "connection refused"),
        (80, timedelta(seconds=920), "nothing was recorded"),
    ]
    assert "·" in rows(made)["q"]["trend"], "no depth is made up for the gap"
    assert made.rows.num_rows == 8
    assert [d for _, _, d in made.depths(["q"])].count(None) == 2
    assert "Sekrit42x" not in str(pq.read_table(tmp_path).to_pylist())


def test_the_last_gap_has_not_ended(tmp_path: Path) -> None:
    source = record(tmp_path, at(0), failed(10, "away"))
    (gap,) = source.readings(whole()).gaps
    assert (gap.since, gap.until, gap.reason) == (BEGIN, None, "away")


def test_a_recorder_that_ended_leaves_a_gap(tmp_path: Path) -> None:
    source = record(tmp_path, at(0), at(10))
    assert source.readings(first(39)).gaps == ()
    (gap,) = source.readings(first(41)).gaps
    assert (after(gap.since), gap.until, gap.reason) == (10, None, "nothing was recorded")


def test_a_period_without_a_reading_is_a_gap(tmp_path: Path) -> None:
    source = record(tmp_path, at(0), *(failed(10 * i, "away") for i in range(1, 10)), at(100))

    def gaps(since: float, until: float) -> list[tuple[Any, ...]]:
        span = Period(BEGIN + timedelta(seconds=since), BEGIN + timedelta(seconds=until))
        made = history.read(source, span)
        assert ("virtual host / from" in made.table.notes[0]) is bool(made.readings.times)
        return [(after(g.since), g.until and after(g.until), g.reason) for g in made.readings.gaps]

    assert gaps(35, 75) == [(40, None, "away")]
    assert gaps(35, 105) == [(40, 100, "away")]
    assert gaps(500, 900) == [(500, None, "nothing was recorded")]


def test_without_a_first_reading_nothing_is_recorded(tmp_path: Path) -> None:
    with pytest.raises(SourceError, match="away"):
        record(tmp_path / "h", failed(0, "away"))
    assert not (tmp_path / "h").exists()


def test_another_cluster_or_vhost_inherits_nothing(tmp_path: Path) -> None:
    record(tmp_path, at(0, queues=queues(old=1)))
    source = recorded(settings(), str(tmp_path), "attune")
    recorder = Recorder(settings(), str(tmp_path))
    recorder.add(at(10, cluster="fresh", queues=queues(new=1)))
    recorder.close()
    assert set(rows(history.read(recorded(settings(), str(tmp_path), "fresh"), whole()))) == {"new"}
    assert set(rows(history.read(source, whole()))) == {"old"}
    with pytest.raises(ConfigError, match="nothing is recorded of cluster nobody"):
        recorded(settings(), str(tmp_path), "nobody")
    with pytest.raises(SourceError, match=r"add --cluster: attune, fresh"):
        recorded(settings(), str(tmp_path))


def test_two_brokers_with_one_name_have_no_common_history(tmp_path: Path) -> None:
    """`rabbit@rabbitmq` is the cluster's name of each broker in a container of that name."""
    known: Clusters = {}
    of = {env: msgspec.structs.replace(settings(), env=env) for env in ("prod", "staging")}
    prod, staging = (Recorder(one, str(tmp_path), known=known) for one in of.values())
    prod.add(at(0))
    for recorder, other in ((staging, "prod"), (prod, "staging")):
        with pytest.raises(ConfigError, match=f"environment {other} has the same cluster attune and virtual host /:"):
            recorder.add(at(10))
    staging.add(at(20, cluster="named"))
    prod.add(at(30))
    prod.close()
    staging.close()
    assert len(recorded(settings(), str(tmp_path), "attune").readings(whole()).times) == 2
    assert len(recorded(settings(), str(tmp_path), "named").readings(whole()).times) == 1


def test_a_worker_story(tmp_path: Path) -> None:
    born = small.worker(4, created=BEGIN + timedelta(seconds=15), last_heartbeat=BEGIN + timedelta(seconds=18))
    readings = [at(0, small.facts((small.worker(1),))), at(10, small.facts((small.worker(1),)))]
    without = small.facts((small.worker(1), born))
    broker = small.broker(without.topology, (1,))
    readings.append(at(20, msgspec.structs.replace(without, broker=broker)))
    readings += [at(30, without), at(40, without), at(50, small.facts((small.worker(1),))), at(60, without)]
    source = record(tmp_path, *readings)
    told = history_story.story(settings(), "worker", "w4", **until(70), folder=str(tmp_path), cluster="attune")
    events = [(r["event"], after(r["time"])) for r in told.records()]
    assert [e for e in events if e[0] != "state"] == [
        ("registered", 15), ("last seen", 18), ("first seen", 20), ("declared", 30), ("bound", 30), ("consumed", 30),
        ("no longer registered", 50), ("registered again", 60),
    ]  # fmt: skip
    assert source.readings(first(70)).gaps == ()
    with pytest.raises(ConfigError, match="no worker 'w9' is recorded"):
        history_story.story(settings(), "worker", "w9", **until(70), folder=str(tmp_path), cluster="attune")


def test_a_registry_that_could_not_be_read_ends_no_worker(tmp_path: Path) -> None:
    away = msgspec.structs.replace(small.facts(), registry=None)
    record(tmp_path, at(0), at(10, away), at(20))
    told = history_story.story(settings(), "worker", "1", **until(30), folder=str(tmp_path), cluster="attune")
    assert [r["event"] for r in told.records()] == ["last seen", "recording begins"]


def test_a_queue_story(tmp_path: Path) -> None:
    def reading(i: int, depth: int, consumers: int) -> Any:
        queue = small.queue("q", messages=depth, consumers=consumers, arguments={"x-max-length": 10})
        return at(10 * i, queues=(queue,), consumers=(ConsumerState("/", "q", "t"),) * consumers)

    plain = at(30, queues=(), consumers=())
    record(tmp_path, reading(0, 0, 1), reading(1, 4, 0), reading(2, 10, 0), plain, reading(4, 2, 1))
    told = history_story.story(settings(), "queue", "q", **until(50), folder=str(tmp_path), cluster="attune")
    assert [r["event"] for r in told.records()] == [
        "recording begins", "no consumer", "full", "deepest", "gone", "consumed", "declared again", "last seen",
    ]  # fmt: skip


def test_the_line_of_a_reading_counts_empty_queues_too() -> None:
    assert _recorded(at(0, queues=queues(some=0, others=0)), 5).endswith(", 5 rows: 0 messages in 2 queues")


def test_two_periods_compared(tmp_path: Path) -> None:
    day = 86400
    readings = [at(10 * i, queues=queues(same=5, falls=90, gone=1)) for i in range(3)]
    readings += [at(day + 10 * i, queues=queues(same=5, falls=10, new=40)) for i in range(3)]
    record(tmp_path, *readings)
    first, second = f"{BEGIN:%Y-%m-%dT%H:%M}..{BEGIN:%Y-%m-%dT23:00}", f"{BEGIN + timedelta(days=1):%Y-%m-%d}..now"
    made = history_compare.compare(settings(), first, second, folder=str(tmp_path), cluster="attune")
    found = {r["queue"]: (r["change"], r["presence"]) for r in made.records()}
    assert list(found.items()) == [
        ("falls", (-80, "both")), ("new", (None, "new")), ("gone", (None, "gone")), ("same", (0, "both")),
    ]  # fmt: skip
    extent = rf"; the readings are of {BEGIN:%Y-%m-%dT%H:%M:%SZ} to \S+Z: name two periods in it$"
    with pytest.raises(ConfigError, match=f"nothing is recorded in the period 2024-01-01..2024-01-02{extent}"):
        history_compare.compare(settings(), "2024-01-01..2024-01-02", second, folder=str(tmp_path), cluster="attune")


def test_states_of_the_workers(tmp_path: Path) -> None:
    stale = small.facts((small.worker(1, last_heartbeat=BEGIN - timedelta(hours=1)), small.worker(2)))
    record(tmp_path, at(0), at(10), at(20), at(30, stale))
    found = rows(history.read(recorded(settings(), str(tmp_path), "attune"), whole(), "workers"))
    assert found["w1"]["states"] == ("ready 75 %", "stale 25 %")
    assert (found["w1"]["state"], found["w1"]["changes"]) == ("stale", 1)
    assert found["w3"]["went"] == BEGIN + timedelta(seconds=30)
    only = history.read(recorded(settings(), str(tmp_path), "attune"), whole(), worker="w1")
    assert set(rows(only)) == {"worker.1.executions"}


def test_any_reader_of_parquet_reads_it(tmp_path: Path) -> None:
    record(tmp_path, at(0), at(10), at(86400), interval=10)
    frame = pd.read_parquet(tmp_path)
    assert set(frame["cluster"]) == {"attune"}
    assert {str(d) for d in frame["day"]} == {"2026-01-16", "2026-01-17"}
    assert len(frame[frame["kind"] == "reading"]) == 3
    assert set(map(str, frame["vhost"])) == {"/"}
    samples = history.read(recorded(settings(), str(tmp_path), "attune"), whole()).frame
    assert samples["messages"].dtype == pd.Int64Dtype()


def test_short_runs_go_on_with_the_last_file(tmp_path: Path) -> None:
    for i in range(5):
        record(tmp_path, at(10 * i))
    (file,) = tmp_path.rglob("*.parquet")
    assert len({r["time"] for r in pq.read_table(file).to_pylist()}) == 5


def test_two_recorders_at_once_have_files_of_their_own(tmp_path: Path) -> None:
    first, second = Recorder(settings(), str(tmp_path)), Recorder(settings(), str(tmp_path))
    for i in range(4):
        (first, second)[i % 2].add(at(10 * i))
    first.close()
    second.close()
    assert len(list(tmp_path.rglob("*.parquet"))) == 2
    assert len(recorded(settings(), str(tmp_path), "attune").readings(whole()).times) == 4


def test_a_full_file_is_left_and_the_next_one_begins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(history_writer, "ROWS_PER_FILE", 25)
    record(tmp_path, *(at(10 * i) for i in range(9)))
    assert len(list(tmp_path.rglob("*.parquet"))) == 3
    assert len(recorded(settings(), str(tmp_path), "attune").readings(whole()).times) == 9


@pytest.mark.parametrize(("mode", "expected"), [(None, 0o600), (0o755, 0o644), (0o750, 0o640)])
def test_who_may_read_the_folder_may_read_the_files(tmp_path: Path, mode: int | None, expected: int) -> None:
    folder = tmp_path / "h"
    if mode is not None:
        folder.mkdir()
        folder.chmod(mode)
    before = os.umask(0o022)
    try:
        record(folder, at(0))
    finally:
        os.umask(before)
    (file,) = folder.rglob("*.parquet")
    assert stat.S_IMODE(file.stat().st_mode) == expected
    assert stat.S_IMODE(folder.stat().st_mode) == (mode or 0o700)


def test_what_is_not_a_history_is_refused_and_left(tmp_path: Path) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    pq.write_table(pa.table({"a": [1]}), theirs / "part-0.parquet")
    with pytest.raises(ConfigError, match=r"holds part-0\.parquet, which is no history"):
        record(theirs, at(0))
    with pytest.raises(ConfigError, match="which is no history"):
        recorded(settings(), str(theirs), "attune")
    assert [p.name for p in theirs.iterdir()] == ["part-0.parquet"]
    (tmp_path / "file").write_text("x")
    with pytest.raises(ConfigError, match="a file; a history is a folder"):
        record(tmp_path / "file", at(0))
    with pytest.raises(ConfigError, match="nothing is recorded yet"):
        recorded(settings(), str(tmp_path / "none"), "attune")
    assert not (tmp_path / "none").exists()


def test_a_foreign_or_damaged_file_among_ours_is_named(tmp_path: Path) -> None:
    record(tmp_path, at(0), at(10))
    (ours,) = tmp_path.rglob("*.parquet")
    pq.write_table(pa.table({"a": [1]}), ours.parent / "theirs.parquet")
    damaged = ours.parent / "other.0.20260116T120000000000Z.parquet"
    damaged.write_bytes(ours.read_bytes()[:-20])
    made = history.read(recorded(settings(), str(tmp_path), "attune"), whole())
    notes = " ".join(made.table.notes)
    assert "1 file in" in notes
    assert f"{damaged.name}: not read" in notes
    told = history_story.story(settings(), "worker", "w1", **until(30), folder=str(tmp_path), cluster="attune")
    assert f"{damaged.name}: not read" in " ".join(told.notes), "a gap may be of the file that is damaged"
    assert len(made.readings.times) == 2


def test_the_file_of_earlier_versions_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "state_folder", lambda *parts: tmp_path)
    (tmp_path / "host_5672.sqlite").write_bytes(b"SQLite format 3\0")
    recorder = Recorder(settings())
    recorder.add(at(0))
    recorder.close()
    source = recorded(settings(), None, "attune")
    assert "host_5672.sqlite is of an earlier version and is not read; delete it" in source.notes[0]


def test_a_disk_that_is_full_ends_with_what_was_recorded(tmp_path: Path) -> None:
    import resource

    recorder = Recorder(settings(), str(tmp_path))
    recorder.add(at(0))
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(ActionError, match="cannot write the history: File too large"):
            recorder.add(at(10))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    recorder.close()
    assert len(recorded(settings(), str(tmp_path), "attune").readings(whole()).times) == 1
    assert [p.name for p in tmp_path.rglob("*.part")] == []


def test_a_folder_that_was_deleted_is_another_one(tmp_path: Path) -> None:
    """The slot of a recorder is deleted with it, so that the next one could write the same files."""
    folder = tmp_path / "h"
    first_one = Recorder(settings(), str(folder))
    first_one.add(at(0))
    shutil.rmtree(folder)
    second = Recorder(settings(), str(folder))
    for i, recorder in enumerate((second, first_one, second, first_one, second), 1):
        recorder.add(at(10 * i))
    first_one.close()
    second.close()
    times = recorded(settings(), str(folder), "attune").readings(whole()).times
    assert [after(moment_of(t)) for t in times] == [10, 20, 30, 40, 50]


@pytest.mark.parametrize(
    ("system", "error"),
    [(pafs.LocalFileSystem(), ActionError), (pafs.SubTreeFileSystem("/", pafs.LocalFileSystem()), SourceError)],
    ids=["local", "store"],
)
def test_a_place_that_is_gone(system: Any, error: type[Exception], tmp_path: Path) -> None:
    """A local folder is a failed operation (exit status 1), a store that is not reached a source (3)."""
    folder = files.Folder(str(tmp_path / "h"))
    vars(folder)["_opened"] = (system, str(tmp_path / "h"))
    writer = history_writer.Writer(folder, "attune", "/")
    writer.append(SCHEMA.empty_table(), BEGIN)
    shutil.rmtree(tmp_path / "h")
    (tmp_path / "h").write_text("in the way")
    with pytest.raises(error, match=f"^{tmp_path}/h: cannot write the history: [^\n]+$"):
        writer.append(SCHEMA.empty_table(), BEGIN)
    writer.close()


def test_prune_removes_whole_old_days_of_ours_only(tmp_path: Path) -> None:
    record(tmp_path, at(0), at(86400))
    day = tmp_path / "cluster=attune" / "vhost=%2F" / "day=2026-01-16"
    (day / "notes.txt").write_text("keep me")
    before = sorted(p.name for p in tmp_path.rglob("*"))
    dry = history_prune.prune("1d", folder=str(tmp_path))
    assert [r["verdict"] for r in dry.records()] == ["deletes", "deletes"]
    assert sorted(p.name for p in tmp_path.rglob("*")) == before
    done = history_prune.prune("1d", folder=str(tmp_path), apply=True)
    assert [r["verdict"] for r in done.records()] == ["deleted", "deleted"]
    assert [p.name for p in tmp_path.rglob("*") if p.is_file() and p.suffix != ".lock"] == ["notes.txt"]
    nothing = history_prune.prune("36500d", folder=str(tmp_path))
    assert render.form(nothing, "text") == "no old days"


@pytest.mark.parametrize("text", ["soon", "2026-13-01", "-1h", "", "1e9d", "9" * 40 + "d"])
def test_a_time_that_is_none(text: str) -> None:
    with pytest.raises(ConfigError, match="is not a time"):
        period(text)


def test_an_object_store_by_its_uri(tmp_path: Path) -> None:
    recorder = Recorder(settings(), f"file://{tmp_path}/h")
    recorder.add(at(0))
    recorder.close()
    assert len(recorded(settings(), f"file://{tmp_path}/h", "attune").readings(whole()).times) == 1
    with pytest.raises(ConfigError, match="nosuch://u:\\*\\*\\*@place: this kind of URI needs fsspec"):
        recorded(settings(), "nosuch://u:Sekrit42x@place", "attune")
