"""The parts common to both HTTP transports of the management API: answers, and the explanation of an error."""

from __future__ import annotations

import base64
import time
from collections.abc import Mapping
from typing import Any, NamedTuple, Protocol, TypeVar

import msgspec

from attune_ops.installation.config.settings import Endpoint
from attune_ops.installation.unreachable import is_late, why
from attune_ops.model import deadline, decoding, requests_log
from attune_ops.model.errors import SourceError

UNREADABLE = (msgspec.DecodeError, UnicodeDecodeError, RecursionError)  # the last for deeply nested JSON
T = TypeVar("T")


class Answer(NamedTuple):
    """A response; header names are in lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    elapsed_ms: float


class ApiError(SourceError):
    """The management API answered with an error; `status` is the HTTP status and `reason` its text."""

    def __init__(self, sentence: str, status: int, reason: str) -> None:
        super().__init__(sentence)
        self.status, self.reason = status, reason


class Http(Protocol):
    """A connection to one management API. `path` is what follows `/api/`, with names percent-encoded.

    Raises `SourceError` where there is no answer; an answer with an error status is returned.
    """

    endpoint: Endpoint

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        """Sends one request and reads the whole answer."""

    def close(self) -> None:
        """Closes the connections."""


def basic(endpoint: Endpoint) -> str:
    """The value of the Authorization header."""
    login = f"{endpoint.user}:{endpoint.password.reveal()}".encode()
    return "Basic " + base64.b64encode(login).decode()


def check(endpoint: Endpoint, path: str, answer: Answer, vhost: str | None = None) -> None:
    """Raises `ApiError` in one sentence unless the status is a success."""
    if 200 <= answer.status < 300:
        return
    reason = _reason(answer)
    words = _refusal(endpoint, path, answer, reason, vhost) or f"/api/{path.partition('?')[0]}: {reason}"
    raise ApiError(f"management API {endpoint} answered {answer.status}: {words}", answer.status, reason)


def decode(endpoint: Endpoint, path: str, answer: Answer, kind: type[T]) -> T:
    """Decodes the JSON of an answer; raises `SourceError` for a web page, an incomplete answer or other fields."""
    try:
        return decoding.decode(answer.body, kind)
    except UNREADABLE as e:
        if _is_page(answer):
            what = "answered with a web page: a proxy or another server answers there; check host, port and prefix"
        elif _is_json(answer):
            what = f"answered /api/{path.partition('?')[0]} in an unknown form: {e}"
        else:
            what = f"answered {len(answer.body)} bytes of incomplete JSON: the connection was closed early; try again"
        raise SourceError(f"management API {endpoint} {what}") from None


def _is_page(answer: Answer) -> bool:
    return "html" in answer.headers.get("content-type", "") or answer.body.lstrip()[:1] == b"<"


def _is_json(answer: Answer) -> bool:
    try:
        decoding.decode(answer.body, msgspec.Raw)  # builds nothing of it
    except UNREADABLE:
        return False
    return True


class _Complaint(msgspec.Struct):
    error: Any = None
    reason: Any = None


def _reason(answer: Answer) -> str:
    """The API's text of an error, or what came instead."""
    try:
        said = decoding.decode(answer.body, _Complaint)
    except UNREADABLE:
        return "a web page" if _is_page(answer) else "no reason given"
    import html

    words = html.unescape(said.reason) if isinstance(said.reason, str) else said.error  # 3.10 escapes it as for a page
    if isinstance(words, list) and all(isinstance(w, int) and 0 <= w <= 0x10FFFF for w in words):
        words = "".join(map(chr, words))  # Erlang's texts are lists of characters
    return " ".join(str(words).split()) if words else "no reason given"


LACKS_PREFIX = ", or the URL lacks the prefix of the API (management.path_prefix)"


def _refusal(endpoint: Endpoint, path: str, answer: Answer, reason: str, vhost: str | None) -> str | None:
    """What a refusal means and what to try; None where the API's text says it."""
    import shlex

    user, low = repr(endpoint.user), reason.lower()
    tag = f"rabbitmqctl set_user_tags {shlex.quote(endpoint.user)}"
    if _is_page(answer):
        return "a web page: a proxy or another server answers there; check host, port and prefix"
    if answer.status in (301, 302, 303, 307, 308):
        return f"it redirects to {answer.headers.get('location', 'elsewhere')!r}; give that as --management-url"
    if answer.status == 401 and "management user" in low:
        return f"user {user} has no management tag; {tag} monitoring"
    if answer.status == 401 and "monitor user" in low:
        return f"user {user} has no monitoring tag; {tag} monitoring"
    if answer.status == 401 and "administrator user" in low:
        return f"user {user} has no administrator tag; {tag} administrator"
    if answer.status == 401 and "access object" in low:  # the change needs a higher tag
        return f"the tags of user {user} do not allow it; {tag} policymaker, or administrator"
    if answer.status == 401 and "access refused" in low:  # by the broker itself: the login was right
        return f"user {user} lacks a permission for it; a binding needs write on its destination and read on its source"
    prefix = f", or the prefix {endpoint.path!r} of the URL is wrong" if endpoint.path else LACKS_PREFIX
    if vhost is not None and (answer.status == 404 or (answer.status == 401 and "virtual host" in low)):
        decoded = ", or a proxy decodes the %2F of its name" if "/" in vhost else ""
        return (
            f"virtual host {vhost!r} is missing or user {user} has no permissions in it{prefix}{decoded}; "
            f"rabbitmqctl list_vhosts, rabbitmqctl list_permissions -p {shlex.quote(vhost)}"
        )
    if answer.status == 404 and path == "overview":
        return f"no management API there{prefix}; check host and port"
    if answer.status == 401:
        return f"wrong user or password for user {user}, or a user that can connect from localhost only; {reason}"
    return None


def elapsed_ms(started: float) -> float:
    """The ms since `started`, a time of `time.perf_counter`."""
    return (time.perf_counter() - started) * 1000


def answered(method: str, path: str, answer: Answer) -> Answer:
    """The answer; reports the request."""
    requests_log.report(f"{method} /api/{path}", answer.status, answer.elapsed_ms)
    return answer


def failed(
    endpoint: Endpoint, method: str, path: str, error: BaseException, started: float, timeout: float
) -> SourceError:
    """The error for a request without an answer; reports the request."""
    requests_log.report(f"{method} /api/{path}", type(error).__name__, elapsed_ms(started))
    return unreachable(endpoint, error, timeout)


def unreachable(endpoint: Endpoint, error: BaseException, timeout: float) -> SourceError:
    """The error for a management API that did not answer, whichever transport failed."""
    deadline.ended(late=is_late(error))
    return SourceError(f"management API {endpoint}: {why(endpoint, error, timeout)}")
