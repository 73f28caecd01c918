"""The management API over `requests`, with several open connections. Loaded on use: requests takes 80 ms."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ConnectTimeoutError, NewConnectionError

from attune_ops.installation.config.settings import Endpoint, Tls
from attune_ops.installation.http import Answer, answered, basic, elapsed_ms, failed
from attune_ops.installation.sockets import LEAST_S, MOST_BYTES, TooMuch, open_tcp, timed, tls_context
from attune_ops.model import deadline

QUIET = 1.5  # times the timeout: the longest wait for the next byte of a list, which may take longer as a whole
RETRY_S = 1.0  # the timeout after a request that got no answer, until one gets an answer again
MOST_AT_ONCE = 192 << 20  # bytes of all answers that are being read
PART = 1 << 16


class PooledHttp:
    """Sends requests in parallel, from several threads, through the proxies of the environment."""

    def __init__(self, endpoint: Endpoint, timeout: float, tls: Tls) -> None:
        self.endpoint, self._timeout = endpoint, timeout
        self._silent = False  # whether the last request got no answer
        self._counting, self._reading = threading.Lock(), 0
        self._base = f"{endpoint.scheme}://{endpoint.address}{endpoint.path}/api/"
        self._session = requests.Session()
        self._session.mount(
            f"{endpoint.scheme}://",
            _Adapter(tls_context(tls) if endpoint.tls else None, QUIET * timeout, tls.server_name),
        )
        self._session.auth = _Basic(endpoint)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        """Sends one request and reads the whole answer."""
        started = time.perf_counter()
        seconds = RETRY_S if self._silent else timeout or self._timeout
        first = max(min(seconds, self._timeout, deadline.left()), LEAST_S)
        try:
            with self._session.request(
                method,
                self._base + path,
                data=body,
                headers={"content-type": "application/json"} if body is not None else None,
                timeout=(first, seconds),
                allow_redirects=False,
                stream=True,
            ) as found:
                content = self._content(found)
        except TimeoutError as e:
            self._silent = True
            raise failed(self.endpoint, method, path, e, started, seconds) from None
        except Exception as e:  # noqa: BLE001 - what a malformed answer raises is not documented
            self._silent = isinstance(e, requests.Timeout) or "timed out" in str(e)
            raise failed(self.endpoint, method, path, e, started, seconds) from None
        self._silent = False
        deadline.ended()
        headers = {k.lower(): v for k, v in found.headers.items()}
        return answered(method, path, Answer(found.status_code, headers, content, elapsed_ms(started)))

    def _content(self, response: requests.Response) -> bytes:
        """The body, decompressed part by part; raises `TooMuch`."""
        content = bytearray()  # one block of memory: many small ones of several threads would not be given back
        try:
            for part in response.iter_content(PART):
                content += part
                with self._counting:
                    self._reading += len(part)
                if len(content) > MOST_BYTES or self._reading > MOST_AT_ONCE:
                    raise TooMuch(f"more than {len(content)} bytes")
            return bytes(content)
        finally:
            with self._counting:
                self._reading -= len(content)
            content.clear()  # else the traceback of an error keeps it

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class _Adapter(HTTPAdapter):
    """Trusts the same authorities as the other connections; requests alone would use its own list.

    Its connections have a time for each whole answer, and wait at most `quiet` s for the next byte.
    """

    def __init__(self, trust: ssl.SSLContext | None, quiet: float, server_name: str | None) -> None:
        self._trust, self._pools = trust, _pools(quiet, server_name)
        super().__init__(pool_connections=1, pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **kwargs)
        self.poolmanager.pool_classes_by_scheme = self._pools

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(*args, ssl_context=self._trust, **kwargs)
        manager.pool_classes_by_scheme = self._pools
        return manager


class _Resolving:
    """A connection of urllib3 that waits for name servers no longer than for the server."""

    def _new_conn(self: Any) -> socket.socket:
        try:
            made = open_tcp(self._dns_host, self.port, self.timeout)
        except TimeoutError as e:
            raise ConnectTimeoutError(self, str(e)) from e
        except OSError as e:
            raise NewConnectionError(self, str(e)) from e
        for option in self.socket_options or ():
            made.setsockopt(*option)
        return made


def _pools(quiet: float, server_name: str | None) -> dict[str, type[HTTPConnectionPool]]:
    class InTime(_Resolving, HTTPConnection):
        def connect(self) -> None:
            super().connect()
            self.sock = timed(self.sock, quiet)

    class InTimeTls(_Resolving, HTTPSConnection):
        def connect(self) -> None:
            self.server_hostname = server_name or self.server_hostname
            super().connect()
            self.sock = timed(self.sock, quiet)

    class Pool(HTTPConnectionPool):
        ConnectionCls = InTime

    class TlsPool(HTTPSConnectionPool):
        ConnectionCls = InTimeTls

    return {"http": Pool, "https": TlsPool}


class _Basic:
    """The login of a request; requests would encode it as latin-1, RabbitMQ reads UTF-8."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._header = basic(endpoint)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["authorization"] = self._header
        return request
