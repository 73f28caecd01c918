"""The commands that findings, undo notes and plans print: each runs as printed, whatever characters a name has."""

from __future__ import annotations

import glob
import json
import re
import shlex
from collections.abc import Collection, Iterable, Mapping
from typing import Literal

import msgspec

from attune_ops.model.snapshot import BindingState, PolicyState
from attune_ops.model.topology import Binding

PROGRAM = "attune-ops"
WITHOUT_TARGET = ("lab", "completion")
_GLOB = re.compile(r"[*?[]")
_NUMBERED = re.compile(r"(.*?)(?<![0-9])([1-9][0-9]{0,18})(?![0-9])(.*)", re.DOTALL)


class CommandLine(msgspec.Struct, frozen=True):
    """A command of this tool, or of `program`, by its words; `str()` gives the line to copy, for bash and zsh."""

    words: tuple[str, ...]
    program: str = PROGRAM

    def __str__(self) -> str:
        return " ".join([self.program, *map(quoted, self.words)])

    def with_target_options(self, options: Mapping[str, str]) -> CommandLine:
        """The same command for the installation that these options choose; they are printed, so none is a secret."""
        without = self.program != PROGRAM or self.words[0] in WITHOUT_TARGET
        return self if without else CommandLine((*option_words(options), *self.words))


def option_words(options: Mapping[str, str]) -> tuple[str, ...]:
    """Options by name as words of a command: `attune_config` is `--attune-config`."""
    return tuple(word for name, value in options.items() for word in (f"--{name.replace('_', '-')}", value))


def line(*words: str) -> CommandLine:
    """The command with these words."""
    return CommandLine(words)


def broker_line(*words: str) -> CommandLine:
    """The command of `rabbitmqctl` with these words: what the management API cannot do, or not with this user."""
    return CommandLine(words, "rabbitmqctl")


def quoted(word: str) -> str:
    """The word as a shell takes it; what cannot be typed is escaped, as bash and zsh read it."""
    if word.isprintable():
        return shlex.quote(word)
    return "$'" + "".join(c if c.isprintable() and c not in "\\'" else _escaped(c) for c in word) + "'"


def _escaped(character: str) -> str:
    return "".join(f"\\x{byte:02x}" for byte in character.encode("utf-8", "surrogateescape"))


def only(name: str) -> str:
    """The pattern that matches this name alone: not a glob, not a regular expression, not an option."""
    escaped = glob.escape(name) if _GLOB.search(name) else name
    return f"[{name[0]}]{escaped[1:]}" if name[:1] in ("-", "/") else escaped


def binding(word: Literal["bind", "unbind"], b: Binding | BindingState) -> CommandLine:
    """Makes or removes exactly this binding: `unbind` without arguments removes all with that key."""
    options = ["--exchange"] if b.destination_kind == "exchange" else []
    options += ["--arguments", json.dumps(b.arguments)] if b.arguments or word == "unbind" else []
    return line("topology", word, *options, "--apply", "--", b.source, b.destination, b.routing_key)


def bind(b: Binding) -> CommandLine:
    """Makes exactly this binding."""
    return binding("bind", b)


def any_of(names: Collection[str]) -> str:
    """The pattern that matches these names alone; short for names that differ in one number."""
    if len(names) == 1:
        return only(next(iter(names)))
    numbers: dict[tuple[str, str], list[int]] = {}
    words = []
    for name in dict.fromkeys(names):
        found = _NUMBERED.fullmatch(name)
        if found:
            numbers.setdefault((found[1], found[3]), []).append(int(found[2]))
        else:
            words.append(re.escape(name))
    ends: dict[tuple[str, str], list[str]] = {}  # by what comes before the end
    for (begin, end), several in numbers.items():
        ends.setdefault((begin, _alternatives(_any_number_of(several))), []).append(re.escape(end))
    words += [re.escape(begin) + number + _alternatives(several) for (begin, number), several in ends.items()]
    return f"/^{_alternatives(words, always=True)}$/"


def _alternatives(patterns: Collection[str], *, always: bool = False) -> str:
    return f"(?:{'|'.join(patterns)})" if always or len(patterns) > 1 else next(iter(patterns))


def reap(*queues: str) -> CommandLine:
    """Deletes orphaned queues and saves their messages."""
    return line("reap", any_of(queues), "--grace", "0s", "--apply")


def retire(*worker_ids: int) -> CommandLine:
    """Sets dead workers to inactive."""
    found = _any_number_of(worker_ids)
    pattern = str(worker_ids[0]) if len(set(worker_ids)) == 1 else f"/^(?:{'|'.join(found)})$/"
    return line("retire", pattern, "--apply")


def _any_number_of(numbers: Iterable[int]) -> list[str]:
    """The patterns that together match these numbers alone; few, because dead workers often have consecutive ids."""
    lengths: dict[int, set[str]] = {}
    for number in numbers:
        lengths.setdefault(len(str(number)), set()).add(str(number))
    return [pattern for _, texts in sorted(lengths.items()) for pattern in _any_digits_of(sorted(texts))]


def _any_digits_of(texts: list[str]) -> list[str]:
    """The patterns that together match these sorted texts of digits, which have one length."""
    if texts == [""]:
        return [""]
    after: dict[str, list[str]] = {}
    for text in texts:
        after.setdefault(text[0], []).append(text[1:])
    firsts: dict[tuple[str, ...], list[str]] = {}  # digits that are followed by the same
    for digit, rest in after.items():
        firsts.setdefault(tuple(_any_digits_of(rest)), []).append(digit)
    return [_any_digit_of(digits) + rest for rests, digits in firsts.items() for rest in rests]


def _any_digit_of(digits: list[str]) -> str:
    """A pattern for sorted digits: `4`, `[13]` or `[3-9]`."""
    if len(digits) == 1:
        return digits[0]
    consecutive = int(digits[-1]) - int(digits[0]) == len(digits) - 1
    return f"[{digits[0]}-{digits[-1]}]" if consecutive and len(digits) > 2 else f"[{''.join(digits)}]"


def queue(name: str) -> CommandLine:
    """Shows one queue."""
    return line("queues", only(name))


def exchange(name: str) -> CommandLine:
    """Shows one exchange."""
    return line("exchanges", only(name))


def consumers(queue: str | None = None) -> CommandLine:
    """Shows the consumers of a queue, or of all."""
    return line("consumers", *(() if queue is None else (only(queue),)))


def close_connection(name: str) -> CommandLine:
    """Closes the connection of a client."""
    return line("connections", "close", "--apply", "--", name)


def remove_policy(name: str) -> CommandLine:
    """Removes a policy."""
    return line("policy", "remove", "--apply", "--", name)


def set_policy(policy: PolicyState) -> CommandLine:
    """Sets a policy with exactly these settings."""
    return line(
        "policy", "apply", f"--pattern={policy.pattern}", "--apply-to", policy.apply_to,
        "--priority", str(policy.priority), "--definition", json.dumps(policy.definition), "--apply", "--", policy.name,
    )  # fmt: skip


def safety_policy(name: str, *options: str) -> CommandLine:
    """Sets one of the safety policies, which have their own pattern and settings."""
    return line("policy", "apply", name, *options, "--apply")


def _at(node: str | None) -> tuple[str, ...]:
    """The option of `rabbitmqctl` that names the node: without it the host's own node is changed, whichever it is."""
    return ("-n", node) if node else ()


def clear_operator_policy(vhost: str, name: str, *, node: str | None = None) -> CommandLine:
    """Removes an operator policy."""
    return broker_line("clear_operator_policy", *_at(node), "-p", vhost, "--", name)


def set_operator_policy(policy: PolicyState, *, node: str | None = None) -> CommandLine:
    """Sets an operator policy with exactly these settings."""
    return broker_line(
        "set_operator_policy", *_at(node), "-p", policy.vhost, "--priority", str(policy.priority),
        "--apply-to", policy.apply_to, "--", policy.name, policy.pattern, json.dumps(policy.definition),
    )  # fmt: skip


def set_permissions(
    vhost: str, user: str, configure: str, write: str, read: str, *, node: str | None = None
) -> CommandLine:
    """Gives a user these permissions in a virtual host."""
    return broker_line("set_permissions", *_at(node), "-p", vhost, "--", user, configure, write, read)


def set_disk_free_limit(node: str, limit: int) -> CommandLine:
    """Sets the free disk space, in bytes, below which a node raises an alarm; until the node restarts."""
    return broker_line("set_disk_free_limit", str(limit), "-n", node)


def set_memory_limit(node: str, fraction: float) -> CommandLine:
    """Sets the fraction of the host's memory above which a node raises an alarm; until the node restarts."""
    return broker_line("set_vm_memory_high_watermark", f"{fraction:g}", "-n", node)


def worker(name: str) -> CommandLine:
    """Shows one worker."""
    return line("workers", only(name))


def cordons(*name: str) -> CommandLine:
    """Shows which workers are cordoned and why: all, or one."""
    return line("workers", *map(only, name), "--columns", "id,name,state,cordoned,cordon_reason")


def peek(queue: str) -> CommandLine:
    """Shows the first messages of a queue."""
    return line("messages", "peek", "--", queue)


def restore(file: str) -> CommandLine:
    """Shows where the messages of a file would be published: a dry run."""
    return line("messages", "restore", "--", file)


def restore_to_queue(queue: str, file: str) -> CommandLine:
    """Publishes the messages of a file to one queue alone; while it does not exist, they stay in the file."""
    return line("messages", "restore", "--exchange=", f"--routing-key={queue}", "--apply", "--", file)


def route(exchange: str, key: str) -> CommandLine:
    """Shows the route of a message."""
    return line("route", "--", exchange, key)


def dead_letter(queue: str, reason: str, key: str) -> CommandLine:
    """Shows the route of a dead letter of a queue."""
    return line("route", f"--dead-letter={queue}", "--reason", reason, "--", key)


def diagnose_with(topology: str) -> CommandLine:
    """Checks the broker against this topology."""
    return line("doctor", "--topology", topology)


DECLARE = line("topology", "apply", "--no-worker-queues", "--apply")
CONFIGURED = line("config", "show")
QUEUES = line("queues")
CONNECTIONS = line("connections", "list")
POLICIES = line("policy", "show")
FULLEST = line("queues", "--sort", "-messages")
TWICE = line("doctor", "--only", "flow", "--samples", "2")
DIFF = line("topology", "diff")
