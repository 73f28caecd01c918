"""The management API over `requests`, with several open connections. Loaded on use: requests takes 80 ms."""

from __future__ import annotations

import ssl
import time
from typing import Any

import requests
from requests.adapters import HTTPAdapter

from attune_ops.installation.config.settings import Endpoint
from attune_ops.installation.http import Answer, basic, unreachable
from attune_ops.installation.sockets import tls_context


class PooledHttp:
    """Sends requests in parallel, from several threads, through the proxies of the environment."""

    def __init__(self, endpoint: Endpoint, timeout: float, ca_file: str | None) -> None:
        self.endpoint, self._timeout = endpoint, timeout
        self._base = f"{endpoint.scheme}://{endpoint.address}{endpoint.path}/api/"
        self._session = requests.Session()
        self._session.mount(f"{endpoint.scheme}://", _Adapter(tls_context(ca_file) if endpoint.tls else None))
        self._session.auth = _Basic(endpoint)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        """Sends one request and reads the whole answer."""
        started = time.perf_counter()
        try:
            found = self._session.request(
                method,
                self._base + path,
                data=body,
                headers={"content-type": "application/json"} if body is not None else None,
                timeout=(self._timeout, timeout or self._timeout),
                allow_redirects=False,
            )
        except (requests.RequestException, OSError, ValueError) as e:
            raise unreachable(self.endpoint, e, timeout or self._timeout) from None
        headers = {k.lower(): v for k, v in found.headers.items()}
        return Answer(found.status_code, headers, found.content, (time.perf_counter() - started) * 1000)

    def close(self) -> None:
        """Closes the connections."""
        self._session.close()


class _Adapter(HTTPAdapter):
    """Trusts the same authorities as the other connections; requests alone would use its own list."""

    def __init__(self, trust: ssl.SSLContext | None) -> None:
        self._trust = trust
        super().__init__(pool_connections=1, pool_maxsize=8)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._trust, **kwargs)

    def proxy_manager_for(self, *args: Any, **kwargs: Any) -> Any:
        return super().proxy_manager_for(*args, ssl_context=self._trust, **kwargs)


class _Basic:
    """The login of a request; requests would encode it as latin-1, RabbitMQ reads UTF-8."""

    def __init__(self, endpoint: Endpoint) -> None:
        self._header = basic(endpoint)

    def __call__(self, request: requests.PreparedRequest) -> requests.PreparedRequest:
        request.headers["authorization"] = self._header
        return request
