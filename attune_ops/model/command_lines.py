"""The command lines that findings and undo notes print: each runs as it stands, also with names that mean harm."""

from __future__ import annotations

import glob
import json
import shlex
from typing import Literal

from attune_ops.model.snapshot import BindingState
from attune_ops.model.topology import Binding

DECLARE = "attune-ops topology apply --apply"
CONFIGURED = "attune-ops config show"


def line(*words: str) -> str:
    """The words as a shell takes them; what cannot be typed is escaped, as bash and zsh read it."""
    return " ".join(["attune-ops", *map(_quoted, words)])


def _quoted(word: str) -> str:
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "\\'" else _escaped(c) for c in word) + "'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def only(name: str) -> str:
    """The pattern that means this name alone: neither a glob, nor a regular expression, nor an option."""
    escaped = glob.escape(name)
    return f"[{name[0]}]{escaped[1:]}" if name[:1] in ("-", "/") else escaped


def binding(word: Literal["bind", "unbind"], b: Binding | BindingState) -> str:
    """Makes or removes exactly this binding."""
    options = ["--exchange"] if b.destination_kind == "exchange" else []
    options += ["--arguments", json.dumps(b.arguments)] if b.arguments else []
    return line("topology", word, *options, "--apply", "--", b.source, b.destination, b.routing_key)


def reap(queue: str) -> str:
    """Deletes an orphaned queue, what is in it saved."""
    return line("reap", only(queue), "--grace", "0s", "--apply")


def retire(worker_id: int) -> str:
    """Sets a dead worker to inactive."""
    return line("retire", str(worker_id), "--apply")


def queue(name: str) -> str:
    """Shows one queue."""
    return line("queues", only(name))


def exchange(name: str) -> str:
    """Shows one exchange."""
    return line("exchanges", only(name))


def consumers(queue: str) -> str:
    """Shows who consumes from a queue."""
    return line("consumers", only(queue))


def worker(name: str) -> str:
    """Shows one worker."""
    return line("workers", only(name))


def peek(queue: str) -> str:
    """Shows the first messages of a queue."""
    return line("messages", "peek", "--", queue)


def route(exchange: str, key: str) -> str:
    """Shows the way of a message."""
    return line("route", "--", exchange, key)


def dead_letter(queue: str, reason: str, key: str) -> str:
    """Shows the way of a message that a queue gives up."""
    return line("route", f"--dead-letter={queue}", "--reason", reason, "--", key)


POLICIES = line("policy", "show")
FULLEST = line("queues", "--sort", "-messages")
TWICE = line("doctor", "--only", "flow", "--samples", "2")
DIFF = line("topology", "diff")
