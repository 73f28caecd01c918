"""Batches: one question per line of JSON, one answer for each, in order; a bad line gets an answer too."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import msgspec

from attune_ops.routing.route import Reason, Refusal, Route
from attune_ops.routing.router import Router


class Question(msgspec.Struct):
    """A publish, or with `dead_letter` a message that this queue dead-letters. Other members are ignored."""

    routing_key: str
    exchange: str | None = None
    headers: dict[str, Any] | None = None
    vhost: str | None = None
    dead_letter: str | None = None
    reason: Reason | None = None


class BadLine(msgspec.Struct, frozen=True):
    """A line that is not a question, by its number from 1."""

    line: int
    error: Refusal


_decode = msgspec.json.Decoder(Question).decode


def answers(lines: Iterable[bytes], routers: Mapping[str, Router], vhost: str | None) -> Iterator[Route | BadLine]:
    """An answer for each line; `vhost` is the default virtual host. Empty lines at the end are ignored."""
    empty: list[int] = []
    for number, line in enumerate(lines, 1):
        text = line.removeprefix(b"\xef\xbb\xbf").strip() if number == 1 else line.strip()
        if not text:
            empty.append(number)
            continue
        for skipped in empty:
            yield BadLine(skipped, Refusal(None, "empty line"))
        empty.clear()
        try:
            yield _answer(_decode(text), routers, vhost)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError, ValueError) as e:
            yield BadLine(number, Refusal(None, str(e)))


def _answer(question: Question, routers: Mapping[str, Router], vhost: str | None) -> Route:
    name = question.vhost if question.vhost is not None else vhost
    if name is None:
        raise ValueError(f"no vhost given, and there are several: {', '.join(map(repr, routers))}")
    try:
        router = routers[name]
    except KeyError:
        raise ValueError(f"no virtual host {name!r}; known: {', '.join(map(repr, routers))}") from None
    if question.dead_letter is None:
        if question.exchange is None:
            raise ValueError("neither exchange nor dead_letter given")
        return router.route(question.exchange, question.routing_key, question.headers)
    if question.reason is None:
        raise ValueError("dead_letter without reason")
    return router.dead_letter(
        question.dead_letter, question.reason, question.routing_key, question.headers, question.exchange or ""
    )
