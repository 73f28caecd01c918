"""A hostile server in place of the management API: each command ends in time, in one line, with little memory."""

from __future__ import annotations

import gzip
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import pytest

from tests.live.attack import proxy
from tests.servers import server
from tests.world import Vhost

TIMEOUT_S = 1.0  # in the configuration; a list has six times as much, and 1.5 times for the next byte
ENDS_S = 6 * TIMEOUT_S + 6  # and the start of the process, beside other load
MOST_KB = 300 << 10
OK = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
CHUNKED = OK + b"Transfer-Encoding: chunked\r\n\r\n"
Answers = Callable[[], Iterator[bytes]]


def once(answer: bytes) -> Answers:
    return lambda: iter((answer,))


def again(head: bytes, part: bytes, every: float = 0.0) -> Answers:
    def parts() -> Iterator[bytes]:
        yield head
        while True:
            time.sleep(every)
            yield part

    return parts


def sized(body: bytes, head: bytes = OK) -> bytes:
    return head + b"Content-Length: %d\r\n\r\n" % len(body) + body


@cache
def bomb() -> bytes:
    """Takes seconds to make: not where the tests are collected."""
    return sized(gzip.compress(bytes(1 << 29)), OK + b"Content-Encoding: gzip\r\n")


MIB = b" " * (1 << 20)
DEEP = b"[" * 100_000
HOSTILE: dict[str, Answers] = {
    "endless body": again(OK + b"Connection: close\r\n\r\n[", MIB),
    "endless JSON": again(OK + b"Connection: close\r\n\r\n[", b"[]," * 100_000),
    "endless body with a length": again(OK + b"Content-Length: 99999999999\r\n\r\n[", MIB),
    "endless chunks": again(CHUNKED, b"100000\r\n" + MIB + b"\r\n"),
    "one endless chunk": again(CHUNKED + b"ffffffffffff\r\n", MIB),
    "a negative endless chunk": again(CHUNKED + b"-1\r\n", MIB),
    "endless headers": again(OK, b"X: y\r\n" * 10_000),
    "an endless header": again(OK + b"X: ", MIB),
    "an endless first line": again(b"HTTP/1.1 200 ", MIB),
    "a gzip bomb": lambda: iter((bomb(),)),
    "gzip that is none": once(sized(b"[]" * 50, OK + b"Content-Encoding: gzip\r\n")),
    "an unknown encoding": once(sized(b"\x00\x01", OK + b"Content-Encoding: br, deflate\r\n")),
    "deep lists": once(sized(DEEP)),
    "deep lists that end": once(sized(DEEP + b"]" * len(DEEP))),
    "deep objects": once(sized(b'{"a":' * 100_000)),
    "a deep error": once(sized(b'{"reason":' + DEEP, b"HTTP/1.1 500 No\r\n")),
    "many small lists": once(sized(b"[" + b"[]," * 5_000_000 + b"[]]")),
    "a huge length": once(OK + b"Content-Length: 999999999999999999999\r\n\r\n[]"),
    "a length of thousands of digits": once(OK + b"Content-Length: " + b"9" * 5000 + b"\r\n\r\n[]"),
    "a negative length": once(OK + b"Content-Length: -1\r\n\r\n[]"),
    "a length with an underscore": once(OK + b"Content-Length: 0_2\r\n\r\n[]"),
    "two lengths": once(OK + b"Content-Length: 2, 3\r\n\r\n[]"),
    "a huge chunk": once(CHUNKED + b"f" * 40 + b"\r\n[]\r\n0\r\n\r\n"),
    "a chunk size of thousands of digits": once(CHUNKED + b"f" * 5000 + b"\r\n[]\r\n0\r\n\r\n"),
    "a negative chunk": once(CHUNKED + b"-5\r\n[]\r\n0\r\n\r\n"),
    "a chunk that is none": once(CHUNKED + b"zz\r\n[]\r\n0\r\n\r\n"),
    "digits without an end": once(sized(b"9" * 1_000_000)),
    "a number of thousands of digits": once(sized(b'{"queue_totals": ' + b"9" * 100_000 + b"}")),
    "a status of thousands of digits": once(b"HTTP/1.1 " + b"2" * 5000 + b" OK\r\n\r\n"),
    "a status that is none": once(b"HTTP/1.1 ooo OK\r\n\r\n"),
    "a hundred 100 Continue": once(b"HTTP/1.1 100 Continue\r\n\r\n" * 100),
    "endless 100 Continue": again(b"", b"HTTP/1.1 100 Continue\r\n\r\n" * 1000),
    "nothing but line ends": again(b"", b"\r\n" * 1000),
    "not UTF-8": once(sized(b'[{"name": "\xff\xfe"}]')),
    "half a surrogate": once(sized(b'[{"name": "\\ud800"}]')),
    "zeros": again(b"", bytes(4096)),
    "a body a byte now and then": again(OK + b"Content-Length: 100000\r\n\r\n", b"[", 0.2),
    "a header a byte now and then": again(OK + b"X-", b"x", 0.2),
    "chunks now and then": again(CHUNKED, b"1\r\n \r\n", 0.2),
    "a body without an end": once(OK + b"\r\n["),
    "silence": once(b""),
}  # fmt: skip


@contextmanager
def hostile(answers: Answers) -> Iterator[int]:
    """A server that answers each request so, and then waits for the next."""

    def talk(client: socket.socket) -> None:
        while client.recv(65536):
            for part in answers():
                client.sendall(part)

    next(answers())  # whatever takes time to make is made before a request waits for it
    with server(talk) as port:
        yield port


def spend(
    folder: Path, management: int, *arguments: str, amqp: str = "amqp://u:p@127.0.0.1:1"
) -> tuple[int, str, float, int]:
    """Runs the command; returns its status, what it says on both streams, its duration in s and its memory in KiB."""
    (folder / "attune-ops.toml").write_text(
        f'[env.x]\namqp_url = "{amqp}"\nmanagement_url = "http://u:p@127.0.0.1:{management}"\ntimeout = {TIMEOUT_S}\n'
    )
    return proxy.spend(folder, {}, *arguments, "--env", "x")


@pytest.mark.parametrize("kind", HOSTILE)
@pytest.mark.parametrize("command", ["health route amq.direct k", "queues"])  # the light transport, the pooled one
def test_ends_in_one_line(tmp_path: Path, command: str, kind: str) -> None:
    with hostile(HOSTILE[kind]) as port:
        status, said, seconds, memory = spend(tmp_path, port, *command.split())
    assert (status, said.count("\n")) == (3, 1), said
    assert said.startswith(f"attune-ops: management API http://u:***@127.0.0.1:{port}"), said
    assert "a bug" not in said
    assert seconds < ENDS_S
    assert memory < MOST_KB


@pytest.mark.parametrize("kind", ["a negative length", "a negative chunk", "a length of thousands of digits"])
def test_says_that_it_is_not_http(tmp_path: Path, kind: str) -> None:
    with hostile(HOSTILE[kind]) as port:
        assert "does not speak HTTP properly" in spend(tmp_path, port, "health", "route", "amq.direct", "k")[1]


def test_side_by_side_the_bound_holds(tmp_path: Path) -> None:
    """The doctor reads in several threads: what they read together is bounded too."""
    small = sized(b'{"rabbitmq_version": "4.1.0", "name": "u", "tags": "administrator"}')

    def answers(count: list[int] = []) -> Iterator[bytes]:  # noqa: B006 - one for all requests
        count.append(1)
        return iter((small,)) if len(count) < 4 else HOSTILE["endless body"]()

    with hostile(answers) as port:
        status, said, seconds, memory = spend(tmp_path, port, "doctor")
    assert "a bug" not in said
    assert status != 0
    assert seconds < ENDS_S + 10
    assert memory < MOST_KB


@pytest.mark.parametrize("body", [b"[]", b"{}", b'"ok"', b"null", b"true", b"0"])
def test_the_broker_is_not_healthy_by_any_answer(tmp_path: Path, vhost: Vhost, body: bytes) -> None:
    with hostile(once(sized(body))) as port:
        status, said, _, _ = spend(tmp_path, port, "health", "broker", amqp=vhost.amqp_url)
    assert (status, said.count("\n")) == (3, 1), said
