"""The management API for a health probe: one request at a time over one socket.

The standard library's http.client would do the same, but loads the e-mail parser and ssl first: 30 ms more for
each run of a probe that must start fast. An answer that is not plain, complete HTTP/1.1 is refused, and so is one that
is not complete in time or larger than `MOST_BYTES`: the socket counts (`sockets.timed`).
"""

from __future__ import annotations

import select
import socket
import time
from collections.abc import Iterator
from typing import BinaryIO, NamedTuple

from attune_ops.installation.config.settings import Endpoint, Tls
from attune_ops.installation.http import Answer, answered, basic, elapsed_ms, failed
from attune_ops.installation.sockets import MOST_BYTES, TooMuch, connect
from attune_ops.model import deadline

NO_FILES = Tls()
MOST_HEADERS = 100
LONGEST_LINE = 65536
MOST_DIGITS = 20
MOST_INTERIM = 10  # answers like 100 Continue before the real one


class NotHttp(OSError):
    """The server does not speak HTTP/1."""


class BrokeOff(OSError):
    """The answer is incomplete."""


class Response(NamedTuple):
    """A complete answer; header names are in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Connection:
    """A connection to one server, opened with the first request and reopened after the server closed it.

    A server closes an idle one, RabbitMQ 4.3 after 5 s: the pause before the second sample is longer.

    Raises `OSError` where the server cannot be reached or does not answer wholly within `timeout` s.
    """

    def __init__(self, host: str, port: int, timeout: float, tls: Tls | None = None) -> None:
        self._host, self._port, self._timeout, self._tls = host, port, timeout, tls
        self._socket: socket.socket | None = None
        self._reader: BinaryIO | None = None

    def request(self, method: str, path: str, headers: dict[str, str], body: bytes = b"") -> Response:
        """Sends a request and reads the whole answer."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        head = {"Host": f"{host}:{self._port}", "Content-Length": str(len(body)), **headers}
        lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in head.items()), "", ""]
        try:
            stream, reader = self._open()
            stream.settimeout(self._timeout)
            stream.sendall("\r\n".join(lines).encode("latin-1") + body)
            response = _response(reader)
        except BaseException:
            self.close()
            raise
        if response.headers.get("connection", "").lower() == "close":
            self.close()
        return response

    def close(self) -> None:
        """Closes the connection."""
        if self._reader is not None:
            self._reader.close()
        if self._socket is not None:
            self._socket.close()
        self._socket = self._reader = None

    def _open(self) -> tuple[socket.socket, BinaryIO]:
        if self._socket is not None and select.select([self._socket], [], [], 0)[0]:  # no answer is due: it was closed
            self.close()
        if self._socket is None or self._reader is None:
            self._socket = connect(self._host, self._port, self._timeout, self._tls)
            self._reader = self._socket.makefile("rb")
        return self._socket, self._reader


class LightHttp:
    """One connection for one thread, for a health probe; it knows no proxies."""

    def __init__(self, endpoint: Endpoint, timeout: float, tls: Tls = NO_FILES) -> None:
        self.endpoint, self._timeout = endpoint, timeout
        self._connection = Connection(endpoint.host, endpoint.port, timeout, tls if endpoint.tls else None)
        self._headers = {"Authorization": basic(endpoint), "Content-Type": "application/json"}

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        """Sends one request and reads the whole answer."""
        started = time.perf_counter()
        try:
            # A probe does not wait longer for a list: `timeout` is not used.
            found = self._connection.request(method, f"{self.endpoint.path}/api/{path}", self._headers, body or b"")
        except OSError as e:
            raise failed(self.endpoint, method, path, e, started, self._timeout) from None
        deadline.ended()
        return answered(method, path, Answer(found.status, found.headers, found.body, elapsed_ms(started)))

    def close(self) -> None:
        """Closes the connection."""
        self._connection.close()


def _response(reader: BinaryIO) -> Response:
    for _ in range(MOST_INTERIM):
        version, _, rest = _line(reader).partition(" ")
        status = rest[:3]
        if version not in ("HTTP/1.1", "HTTP/1.0") or not (len(status) == 3 and status.isdecimal()):
            raise NotHttp("not an HTTP answer")
        headers: dict[str, str] = {"connection": "close"} if version == "HTTP/1.0" else {}
        headers |= dict(_headers(reader))
        if not status.startswith("1"):  # 100 Continue and the like: the real answer follows
            return Response(int(status), headers, _body(reader, int(status), headers))
    raise NotHttp("no answer after 100 Continue")


def _headers(reader: BinaryIO) -> Iterator[tuple[str, str]]:
    for _ in range(MOST_HEADERS):
        line = _line(reader)
        if not line:
            return
        name, _, value = line.partition(":")
        yield name.strip().lower(), value.strip()
    raise NotHttp("too many headers")


def _body(reader: BinaryIO, status: int, headers: dict[str, str]) -> bytes:
    if status in (204, 304):
        return b""
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return _chunks(reader)
    length = headers.get("content-length")
    if length is None:
        headers["connection"] = "close"
        return reader.read()
    return _exactly(reader, _number(length, 10))


def _chunks(reader: BinaryIO) -> bytes:
    parts: list[bytes] = []
    while True:
        length = _number(_line(reader).partition(";")[0].strip(), 16)
        if length == 0:
            list(_headers(reader))  # trailers
            return b"".join(parts)
        parts.append(_exactly(reader, length))
        _exactly(reader, 2)


def _number(digits: str, base: int) -> int:
    """The size that the digits give; a sign, an underscore or a prefix, which Python reads, is not HTTP."""
    try:
        size = int(digits if digits.isalnum() and len(digits) <= MOST_DIGITS else "", base)
    except ValueError:
        raise NotHttp("a size that is not a number") from None
    if size > MOST_BYTES:
        raise TooMuch(f"{size} bytes are announced")
    return size


def _line(reader: BinaryIO) -> str:
    line = reader.readline(LONGEST_LINE)
    if not line.endswith(b"\n"):
        raise BrokeOff("the answer is incomplete") if len(line) < LONGEST_LINE else NotHttp("a line without an end")
    return line.rstrip(b"\r\n").decode("latin-1")


def _exactly(reader: BinaryIO, length: int) -> bytes:
    data = reader.read(length)
    if len(data) < length:
        raise BrokeOff(f"{len(data)} of {length} bytes came")
    return data
