"""What a restore would publish, from real files: a dry run needs no broker."""

from __future__ import annotations

import json
import sqlite3
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.installation.config import Settings, resolve
from attune_ops.messages.message import REPLAYS, Message
from attune_ops.messages.message_file import check_file, open_file, read_header
from attune_ops.messages.restore import CHUNK, CHUNK_BYTES, DuplicateDetector, _chunks, restore
from attune_ops.messages.restore_progress import (
    CONFIRMED,
    NOT_SENT,
    SENT,
    marked_through,
    open_progress,
    read_marks,
    target_of,
)
from attune_ops.messages.transfer import Transfer
from attune_ops.model.errors import ActionError, ConfigError, SourceError
from tests.unit.messages.wire import Typed, properties

DEATH = {"queue": "q", "reason": "rejected", "count": 1, "exchange": "x", "routing-keys": ["k"]}


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The registry is a file that does not exist yet; no broker listens."""
    database = f"sqlite:///{tmp_path / 'registry.db'}"
    return resolve(
        {
            "amqp_url": "amqp://me:p@127.0.0.1:1/%2F",
            "management_url": "http://127.0.0.1:1",
            "database_url": database,
        },
        {},
    )


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "messages.jsonl"


def message(
    id: str, type: str = "EventCreated", execution: int | None = None, headers: dict[str, Any] | None = None
) -> Message:
    payload = {} if execution is None else {"execution_id": execution}
    body = json.dumps({"message_id": id, "message_type": type, "payload": payload}).encode()
    return Message(0, "came.by", "came.with", properties(message_id=id, headers=headers or {}), body)


def drained(file: Path, settings: Settings, *messages: Message) -> None:
    """As one run of a drain writes them; a second call resumes the file."""
    with open_file(file, settings, "q") as to:
        for each in messages:
            to.append(each)


def groups(transfer: Transfer) -> set[tuple[str, int, str]]:
    return {(o.outcome, o.messages, o.why) for o in transfer.outcomes}


def test_everything_is_published_where_it_came_from(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"), message("b"))
    found = restore(settings, file)
    assert [(o.outcome, o.messages, o.exchange, o.routing_key) for o in found.outcomes] == [
        ("published", 2, "came.by", "came.with")
    ]
    assert (found.applied, found.incomplete) == (False, False)
    assert found.notes[0] == "finished executions are not skipped: there is no registry"
    named = restore(settings, file, exchange="to", routing_key="k")
    assert [(o.exchange, o.routing_key) for o in named.outcomes] == [("to", "k")]


def test_what_the_filters_leave_out_stays_and_is_no_failure(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"), message("b", "ExecutionCompleted"))
    found = restore(settings, file, filters=["type=Event*"])
    assert groups(found) == {("published", 1, ""), ("other", 1, "not matched by --filter")}
    assert not found.incomplete


def test_a_dead_letter_is_replayed_three_times_at_most(settings: Settings, file: Path) -> None:
    for n in (2, 3):
        drained(file, settings, message(f"m{n}", headers={"x-death": [DEATH], REPLAYS: Typed(b"I", n)}))
    found = restore(settings, file)
    assert groups(found) == {("published", 1, ""), ("kept", 1, "already replayed 3 times")}
    assert found.incomplete
    assert restore(settings, file, max_replays=4).count("published") == 2
    assert restore(settings, file, max_replays=None).count("published") == 2
    assert restore(settings, file, exchange="to").count("published") == 2, "to a named place is no replay"


def registry(tmp_path: Path, *statements: str) -> None:
    with sqlite3.connect(tmp_path / "registry.db") as connection:
        for statement in ("CREATE TABLE worker (id INTEGER, name TEXT)", *statements):
            connection.execute(statement)
    connection.close()


EXECUTIONS = (
    "CREATE TABLE execution (id INTEGER, action_ref TEXT, status TEXT)",
    "INSERT INTO execution VALUES (1, 'a.b', 'completed'), (2, 'a.b', 'running')",
)


def test_what_starts_a_finished_execution_is_kept(settings: Settings, file: Path, tmp_path: Path) -> None:
    registry(tmp_path, *EXECUTIONS)
    of = [message(f"m{i}", "ExecutionRequested", i) for i in (1, 2, 3)]
    drained(file, settings, *of, message("told", "ExecutionCompleted", 1))
    found = restore(settings, file)
    assert groups(found) == {("published", 3, ""), ("kept", 1, "its execution is already completed")}
    assert not any("finished" in note for note in found.notes)
    every = restore(settings, file, finished=True)
    assert every.count("published") == 4
    assert every.notes[0] == "finished executions are not skipped: the registry is not checked"


def test_a_registry_that_cannot_tell_is_said_or_refused(settings: Settings, file: Path, tmp_path: Path) -> None:
    drained(file, settings, message("m", "ExecutionRequested", 1))
    registry(tmp_path)
    assert restore(settings, file).notes[0] == (
        "finished executions are not skipped: the registry has no table `execution`"
    )
    (tmp_path / "registry.db").unlink()
    registry(tmp_path, "CREATE TABLE execution (id INTEGER)")
    with pytest.raises(SourceError, match="status"):
        restore(settings, file)
    none = msgspec.structs.replace(settings, database=None)
    assert restore(none, file).notes[0] == "finished executions are not skipped: the registry is not checked"


def test_second_copies_of_a_resumed_drain_are_skipped(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"), message("b"))
    drained(file, settings, message("b"), message("c"))
    found = restore(settings, file)
    assert groups(found) == {("published", 3, ""), ("duplicate", 1, "duplicates of messages in this file")}
    assert not found.incomplete
    assert restore(settings, file, copies=True).count("published") == 4


def test_a_file_without_messages_is_resumed_as_the_first_run(settings: Settings, file: Path) -> None:
    drained(file, settings)
    with open_file(file, settings, "q") as resumed:
        assert (resumed.count, resumed.run, resumed.cut) == (0, 1, 0)
    drained(file, settings, message("a"))
    with open_file(file, settings, "q") as resumed:
        assert (resumed.count, resumed.run, resumed.cut) == (1, 2, 0)


def test_within_one_run_the_same_message_twice_is_two_messages(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"), message("a"))
    assert restore(settings, file).count("published") == 2


def test_a_second_copy_that_is_kept_anyway_has_that_reason(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    drained(file, settings, message("a"))
    found = restore(settings, file, filters=["type=Nothing"])
    assert groups(found) == {("other", 2, "not matched by --filter")}


def test_damaged_lines_make_a_restore_incomplete(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    with file.open("ab") as lines:
        lines.write(b"{}\n" + b'{"n": 3, "exch')
    found = restore(settings, file)
    assert groups(found) == {("published", 1, ""), ("damaged", 1, "not a message"), ("damaged", 1, "incomplete line")}
    assert found.incomplete


def test_what_an_earlier_run_published_is_not_published_again(settings: Settings, file: Path) -> None:
    drained(file, settings, *(message(id) for id in "abc"))
    with open_progress(file, read_header(file).id) as progress:
        progress[1], progress[2] = CONFIRMED, SENT
    found = restore(settings, file)
    assert groups(found) == {("published", 2, ""), ("before", 1, "already restored by an earlier run")}
    assert found.notes[-1] == "1 message was in flight when an earlier run was interrupted: possible duplicates"
    assert not found.incomplete
    assert restore(settings, file, again=True).count("published") == 3


def test_another_broker_or_virtual_host_is_named(settings: Settings, file: Path) -> None:
    other = msgspec.structs.replace(settings, amqp=msgspec.structs.replace(settings.amqp, path="other"))
    drained(file, settings, message("a"), message("b"))
    id, here, there = read_header(file).id, target_of(settings.amqp), target_of(other.amqp)
    named = "the messages are from amqp://me:***@127.0.0.1:1/%2F; this is amqp://me:***@127.0.0.1:1/other"
    assert named in restore(other, file).notes
    assert named not in restore(settings, file).notes
    with open_progress(file, id, there):
        pass
    with open_progress(file, id, here) as progress:  # nothing was published there
        progress[1] = CONFIRMED
    with open_progress(file, id, there):
        pass
    assert marked_through(file) == here
    rename = (
        "1 message was restored before, through another address or virtual host: if that was another broker, rename"
    )
    assert [any(n.startswith(rename) for n in restore(s, file).notes) for s in (settings, other)] == [False, True]
    drained_again = restore(other, file, again=True)
    assert not any(n.startswith(rename) for n in drained_again.notes)
    with open_progress(file, id, there) as progress:
        progress[2] = CONFIRMED
    several = "2 messages were restored before, some or all through another address or virtual host"
    for either in (settings, other):  # without the marks, those that are there already would be published again
        assert any(n.startswith(several) for n in restore(either, file).notes)
    with pytest.raises(ConfigError, match="was restored"):
        check_file(file, settings, "q")


def test_a_progress_file_of_an_older_release_counts_everywhere(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    with open_progress(file, read_header(file).id) as progress:
        progress[1] = CONFIRMED
    assert marked_through(file) == ""
    assert restore(settings, file).count("before") == 1


def test_a_file_that_was_restored_is_not_resumed(settings: Settings, file: Path) -> None:
    """A restore would skip what is added: the message that comes back has the id and body of one in the file."""
    drained(file, settings, message("a"), message("b"))
    id = read_header(file).id
    with open_progress(file, id) as progress:
        progress[1] = SENT  # killed: it is published again
    drained(file, settings, message("c"))
    with open_progress(file, id) as progress:
        progress[2] = CONFIRMED
    before = file.read_bytes()
    refused = r"messages.jsonl' was restored: choose another file"
    with pytest.raises(ConfigError, match=refused):
        check_file(file, settings, "q")
    with pytest.raises(ConfigError, match=refused):
        drained(file, settings, message("d"))
    assert file.read_bytes() == before
    file.unlink()
    drained(file, settings, message("a"))  # another file of the same name
    drained(file, settings, message("b"))


def test_a_length_limit_that_cannot_be_read_is_a_note(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    note = restore(settings, file, exchange="", routing_key="q").notes[-1]
    assert note.startswith("the length limit of queue 'q' is unknown (")
    assert not any("length limit" in note for note in restore(settings, file, exchange="x").notes)


def test_the_marks_of_a_progress_file(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    id = read_header(file).id
    assert read_marks(file, id) == b""
    with open_progress(file, id) as progress:
        assert progress[1] == NOT_SENT
        progress[1], progress[70_000], progress[70_001] = SENT, CONFIRMED, SENT
        assert [progress[n] for n in (1, 2, 69_999, 70_000, 70_001, 10**9)] == [b"s", b".", b".", b"c", b"s", b"."]
        with pytest.raises(ActionError, match="restored by another process"), open_progress(file, id):
            pass
    marks = read_marks(file, id)
    assert (marks[0:2], marks[69_998:70_002]) == (b"s.", b".cs.")
    assert set(marks) == set(b".sc")
    assert file.with_name("messages.jsonl.restored").stat().st_mode & 0o777 == 0o600
    with open_progress(file, id) as progress:
        assert progress[70_000] == CONFIRMED


def test_the_marks_of_another_file_are_refused(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    with open_progress(file, "another"):
        pass
    for look in (lambda: read_marks(file, "this"), lambda: restore(settings, file)):
        with pytest.raises(ConfigError, match="belongs to another file"):
            look()
    with pytest.raises(ConfigError, match="belongs to another file"), open_progress(file, "this"):
        pass


@pytest.mark.parametrize("length", [0, 1, 63])
def test_a_first_line_that_a_kill_cut_is_completed(settings: Settings, file: Path, length: int) -> None:
    drained(file, settings, message("a"))
    id = read_header(file).id
    with open_progress(file, id):
        pass
    marks = file.with_name("messages.jsonl.restored")
    marks.write_bytes(marks.read_bytes()[:length])
    assert read_marks(file, id) == b""
    with open_progress(file, id) as progress:
        progress[1] = CONFIRMED
    assert read_marks(file, id)[:1] == CONFIRMED


def test_messages_are_decided_on_in_chunks_of_bounded_size() -> None:
    small = Message(1, "", "", b"", b"")
    assert [len(c) for c in _chunks([small] * (CHUNK + 1))] == [CHUNK, 1]
    assert [len(c) for c in _chunks([small] * CHUNK)] == [CHUNK]
    assert list(_chunks([])) == []
    half = Message(1, "", "", b"", bytes(CHUNK_BYTES // 2))
    assert [len(c) for c in _chunks([half] * 5)] == [2, 2, 1]
    most, byte = Message(1, "", "", b"", bytes(CHUNK_BYTES - 1)), Message(1, "", "", b"", b"x")
    assert [len(c) for c in _chunks([most, byte] * 2)] == [2, 2]


def test_its_duration_is_in_milliseconds(settings: Settings, file: Path) -> None:
    drained(file, settings, message("a"))
    began = time.perf_counter()
    found = restore(settings, file)
    assert 0.01 < found.duration_ms <= (time.perf_counter() - began) * 1000


def test_a_copy_is_recognised_within_the_window_of_the_last_messages() -> None:
    """Each copy makes its message the newest one again."""
    detector = DuplicateDetector(window=2)
    assert [detector.has(message(id)) for id in "ababcab"] == [False, False, True, True, False, False, False]
