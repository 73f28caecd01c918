"""The file of messages: any message comes back the same, a cut or damaged line costs no other."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.installation.config import resolve
from attune_ops.messages.message import Message
from attune_ops.messages.message_file import (
    SCHEMA,
    Damaged,
    Header,
    decode_header,
    decode_messages,
    encode,
    open_file,
    read_messages,
)
from attune_ops.model.errors import ActionError, ConfigError

HEADER = Header(id="a" * 32, queue="q\n", vhost="/", broker="amqp://u:***@h/", created=datetime.now(UTC))
MESSAGES = st.lists(
    st.builds(
        Message,
        st.just(0),
        st.text(max_size=20),
        st.text(max_size=20),
        st.binary(max_size=60),
        st.binary(max_size=60),
        st.booleans(),
        st.none() | st.binary(max_size=5),
        st.integers(1, 3),
    ),
    max_size=8,
)


def numbered(found: list[Message]) -> list[Message]:
    return [
        Message(n, m.exchange, m.routing_key, m.properties, m.body, m.redelivered, m.key, m.run)
        for n, m in enumerate(found, 1)
    ]


@given(MESSAGES)
def test_what_is_written_is_read(some: list[Message]) -> None:
    written = numbered(some)
    lines = [encode(m) for m in written]
    assert all(line.count(b"\n") == 1 for line in lines)
    assert list(decode_messages(lines)) == written


@given(MESSAGES.filter(len), st.integers(1, 40))
def test_a_torn_last_line_is_told_and_the_others_are_read(some: list[Message], cut: int) -> None:
    written = numbered(some)
    *whole, last = [encode(m) for m in written]
    torn = last[: max(1, len(last) - cut)]
    assert list(decode_messages([*whole, torn])) == [*written[:-1], Damaged(len(written), torn=True)]


@given(MESSAGES.filter(len), st.data(), st.sampled_from([b"\n", b"{}\n", b"\x00\x00\n", b'{"n":1}\n']))
def test_a_damaged_line_keeps_its_position(some: list[Message], data: st.DataObject, damage: bytes) -> None:
    written = numbered(some)
    lines = [encode(m) for m in written]
    at = data.draw(st.integers(0, len(lines) - 1))
    lines[at] = damage
    found = list(decode_messages(lines))
    assert found[at] == Damaged(at + 1, torn=False)
    assert found[:at] + found[at + 1 :] == written[:at] + written[at + 1 :]


def test_the_position_is_that_of_the_line() -> None:
    twice = [encode(Message(1, "", "q", b"\x00\x00", b"")), encode(Message(1, "", "q", b"\x00\x00", b""))]
    assert [m.n for m in decode_messages(twice) if isinstance(m, Message)] == [1, 2]


def test_the_first_line() -> None:
    assert decode_header(encode(HEADER), "f") == HEADER


@pytest.mark.parametrize("line", [b"", b"\n", b"notes\n", b"{}\n", encode(Message(1, "", "", b"", b"")), b"\xff\n"])
def test_another_file_is_refused(line: bytes) -> None:
    with pytest.raises(ConfigError, match="'f' is not a message file"):
        decode_header(line, "f")


def test_each_message_gets_its_position_and_the_run_that_drained_it(tmp_path: Path) -> None:
    settings, path = resolve({"amqp_url": "amqp://127.0.0.1:1"}, {}), tmp_path / "f"
    for runs in (7, 1), (2, 9):  # whatever it comes with
        with open_file(path, settings, "q") as file:
            for n, run in enumerate(runs, file.count + 1):
                file.append(Message(n, "", "q", b"\x00\x00", b"", run=run))
    found = [m for m in read_messages(path) if isinstance(m, Message)]
    assert [(m.n, m.run) for m in found] == [(1, 1), (2, 1), (3, 2), (4, 2)]


def test_two_drains_do_not_write_one_file(tmp_path: Path) -> None:
    settings, path = resolve({"amqp_url": "amqp://127.0.0.1:1"}, {}), tmp_path / "f"
    with open_file(path, settings, "q"), pytest.raises(ActionError, match="another drain is writing"):
        open_file(path, settings, "q").__enter__()


def test_a_later_schema_is_refused() -> None:
    with pytest.raises(ConfigError, match="reads " + SCHEMA):
        decode_header(encode(HEADER).replace(b"messages/1", b"messages/2"), "f")
