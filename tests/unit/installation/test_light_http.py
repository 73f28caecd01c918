"""The probe's own HTTP over real sockets: whole answers of every shape, and none that is not whole."""

from __future__ import annotations

import select
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from attune_ops.installation.light_http import BrokeOff, Connection, NotHttp, Response


@contextmanager
def server(*answers: bytes) -> Iterator[tuple[int, list[bytes], list[int]]]:
    """Answers the requests in turn, over as many connections as come; hangs up after an answer that is the last."""
    asked: list[bytes] = []
    connections: list[int] = []
    left = list(answers)

    def serve(listening: socket.socket) -> None:
        while left:
            try:
                client, _ = listening.accept()
            except OSError:
                return
            connections.append(1)
            with client:
                while left and (request := client.recv(65536)):
                    asked.append(request)
                    answer = left.pop(0)
                    client.sendall(answer)
                    if b"close" in answer.partition(b"\r\n\r\n")[0].lower():
                        break

    with socket.create_server(("127.0.0.1", 0)) as listening:
        thread = threading.Thread(target=serve, args=(listening,), daemon=True)
        thread.start()
        yield listening.getsockname()[1], asked, connections


def ask(*answers: bytes) -> Response:
    with server(*answers) as (port, _, _):
        connection = Connection("127.0.0.1", port, timeout=5)
        try:
            return connection.request("GET", "/", {})
        finally:
            connection.close()


OK = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("answer", "body"),
    [
        (OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (OK + b"content-length:5\r\n\r\nhello", b"hello"),
        (OK + b"Content-Length: 0\r\n\r\n", b""),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n3;x=y\r\nhel\r\n2\r\nlo\r\n0\r\nTrailer: 1\r\n\r\n", b"hello"),
        (OK + b"Connection: close\r\n\r\nhello", b"hello"),
        (b"HTTP/1.0 200 OK\r\nX: close\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 204 No Content\r\n\r\n", b""),
        (b"HTTP/1.1 100 Continue\r\n\r\n" + OK + b"Content-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200\r\nContent-Length: 5\r\n\r\nhello", b"hello"),
        (b"HTTP/1.1 200 OK\nContent-Length: 5\n\nhello", b"hello"),
    ],
)
def test_whole_answers(answer: bytes, body: bytes) -> None:
    found = ask(answer)
    assert (found.status, found.body) == (204 if b"204" in answer else 200, body)


@pytest.mark.parametrize(
    ("answer", "error"),
    [
        (b"", BrokeOff),
        (b"HTTP/1.1 200", BrokeOff),
        (OK + b"Content-Length: 5\r\n\r\nhel", BrokeOff),
        (OK + b"Content-Length: 5\r\n", BrokeOff),
        (OK + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhel", BrokeOff),
        (OK + b"Transfer-Encoding: chunked\r\n\r\nzz\r\nhel\r\n", NotHttp),
        (OK + b"Content-Length: five\r\n\r\nhello", NotHttp),
        (OK + b"Content-Length: -1\r\n\r\nhello", NotHttp),
        (b"SSH-2.0-OpenSSH_9.2\r\n", NotHttp),
        (b"AMQP\x00\x00\x09\x01\n", NotHttp),
        (b"HTTP/1.1 abc\r\n\r\n", NotHttp),
        (b"HTTP/2 200\r\n\r\n", NotHttp),
        (OK + b"A: b\r\n" * 70_000, NotHttp),
        (OK + b"".join(b"H%d: x\r\n" % i for i in range(200)) + b"\r\n", NotHttp),
        (b"x" * 70_000, NotHttp),
    ],
)
def test_what_is_not_whole_is_refused(answer: bytes, error: type[Exception]) -> None:
    # The server hangs up after its only answer, so what is not whole ends.
    with pytest.raises(error):
        ask(answer)


def test_one_connection_for_many_requests_and_a_new_one_after_a_close() -> None:
    plain = OK + b"Content-Length: 2\r\n\r\nok"
    closing = OK + b"Connection: close\r\nContent-Length: 2\r\n\r\nok"
    with server(plain, plain, closing, plain) as (port, asked, connections):
        connection = Connection("127.0.0.1", port, timeout=5)
        for i in range(4):
            assert connection.request("GET", f"/{i}", {"Authorization": "Basic x"}).body == b"ok"
        connection.close()
    assert len(connections) == 2
    assert [a.split(b" ")[1] for a in asked] == [b"/0", b"/1", b"/2", b"/3"]
    assert f"Host: 127.0.0.1:{port}\r\n".encode() in asked[0]
    assert b"Authorization: Basic x\r\n" in asked[0]


def test_a_connection_that_the_server_closed_meanwhile_is_opened_again() -> None:
    plain = OK + b"Content-Length: 2\r\n\r\nok"
    hanging_up = OK + b"X: close\r\nContent-Length: 2\r\n\r\nok"  # without a word to the client
    with server(hanging_up, plain) as (port, _, connections):
        connection = Connection("127.0.0.1", port, timeout=5)
        assert connection.request("GET", "/", {}).body == b"ok"
        assert connection._socket is not None
        assert select.select([connection._socket], [], [], 20)[0], "the end of the connection arrives"
        assert connection.request("GET", "/", {}).body == b"ok"
        connection.close()
    assert len(connections) == 2


def test_a_body_is_sent() -> None:
    with server(b"HTTP/1.1 204 No Content\r\n\r\n") as (port, asked, _):
        connection = Connection("127.0.0.1", port, timeout=5)
        connection.request("PUT", "/x", {"Content-Type": "application/json"}, b'{"a": 1}')
        connection.close()
    head, _, body = asked[0].partition(b"\r\n\r\n")
    assert body == b'{"a": 1}'
    assert b"Content-Length: 8" in head


def test_silence_ends_in_time() -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        connection = Connection("127.0.0.1", silent.getsockname()[1], timeout=0.2)
        with pytest.raises(TimeoutError):
            connection.request("GET", "/", {})


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(st.binary(max_size=300))
def test_no_answer_is_taken_for_another(body: bytes) -> None:
    """Any bytes come back as they are by either framing, and any bytes instead of an answer are refused."""
    sized = OK + b"Content-Length: %d\r\n\r\n" % len(body) + body
    chunks = b"".join(b"%x\r\n%s\r\n" % (len(c), c) for c in (body[:100], body[100:]) if c)
    assert ask(sized).body == body
    assert ask(OK + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n").body == body
    if not body.startswith(b"HTTP/1"):
        with pytest.raises((BrokeOff, NotHttp)):
            ask(body)
