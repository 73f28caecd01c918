"""The broker's errors on a declaration, word by word: of an object that exists with other attributes, or is refused.

As seen on 3.10.8, 4.0.5 and 4.3.6. Their sources: rabbit_amqqueue:assert_equivalence/5,
rabbit_exchange:assert_equivalence/6, rabbit_misc:assert_args_equivalence/4 and rabbit_channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Literal

import msgspec

from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import ExchangeState, QueueState
from attune_ops.model.topology import Exchange, Queue
from attune_ops.routing.effective_policy import LIMITS
from attune_ops.routing.header_values import comparable
from attune_ops.routing.patterns import found_in
from attune_ops.routing.rules import Rules
from attune_ops.topology.drift import Attribute, BrokerError

TRANSIENT = "transient_nonexcl_queues"

# The beginning of the error on a denied feature: denied by the configuration, or by default (True).
_DENIED = {
    False: f"Feature `{TRANSIENT}` is deprecated.\nIts use is not permitted per the configuration (overriding the "
    f'default, which is permitted):\n    "deprecated_features.permit.{TRANSIENT} = false"\n'
    "Its use will not be permitted by default in a future minor RabbitMQ version",
    True: f"Feature `{TRANSIENT}` is deprecated.\nBy default, this feature is not permitted anymore.\n"
    "The feature will be removed from a future major RabbitMQ version, regardless of the configuration; "
    "actual version to be determined.\nTo continue using this feature when it is not permitted by default, set",
}

_LOCKED = (
    "cannot obtain exclusive access to locked queue '{name}' in vhost '{vhost}'. It could be originally declared on "
    "another connection or the exclusive property value does not match that of the original declaration."
)

# Arguments that a redeclaration is compared by, in the broker's order; every other is accepted and ignored.
_DLX = ("x-dead-letter-exchange", "x-dead-letter-routing-key")
_COMPARED: dict[str, tuple[str, ...]] = {
    "classic": (
        "x-expires", "x-message-ttl", *_DLX, "x-max-length", "x-max-length-bytes", "x-max-priority", "x-overflow",
        "x-queue-mode", "x-queue-version", "x-single-active-consumer", "x-queue-type", "x-queue-master-locator",
        "x-queue-leader-locator",
    ),
    "quorum": (
        *_DLX, "x-dead-letter-strategy", "x-expires", "x-max-length", "x-max-length-bytes", "x-max-in-memory-length",
        "x-max-in-memory-bytes", "x-overflow", "x-single-active-consumer", "x-queue-type",
        "x-quorum-initial-group-size", "x-delivery-limit", "x-message-ttl", "x-queue-leader-locator",
        "x-consumer-disconnected-timeout", "x-consumer-timeout", "x-delayed-retry-type", "x-delayed-retry-min",
        "x-delayed-retry-max",
    ),
    "stream": (
        "x-max-length-bytes", "x-queue-type", "x-max-age", "x-stream-max-segment-size-bytes",
        "x-stream-filter-size-bytes", "x-initial-cluster-size", "x-queue-leader-locator",
    ),
}  # fmt: skip
# Those that only later versions compare: (type, argument) → since.
_SINCE = {
    ("classic", "x-queue-leader-locator"): (4, 0, 0),
    ("stream", "x-stream-filter-size-bytes"): (4, 3, 0),
    **{
        ("quorum", name): (4, 3, 0)
        for name in ("x-consumer-disconnected-timeout", "x-consumer-timeout", "x-delayed-retry-type",
                     "x-delayed-retry-min", "x-delayed-retry-max")
    },
}  # fmt: skip

# Arguments that a policy key of the same name, without `x-`, can stand in for.
_POLICY_KEYS = LIMITS | {
    "dead-letter-exchange", "dead-letter-routing-key", "overflow", "queue-mode", "max-age", "dead-letter-strategy",
    "alternate-exchange",
}  # fmt: skip


def unknown_denial(facts: Facts) -> str | None:
    """Why it is unknown whether transient queues are denied, None where it is known; before 3.13 none are."""
    broker = facts.actual
    if Rules.of(broker.version).version < (3, 13, 0):
        return None
    feature = next((d for d in broker.deprecated or () if d.name == TRANSIENT), None)
    if feature is not None and feature.state is not None:
        return None
    reason = facts.missing_reason((Source.DEPRECATED,))
    return reason or f"{broker.product} {broker.version} does not report what it denies"


class Answers(msgspec.Struct, frozen=True):
    """The errors of one broker: its virtual host, version and default queue type decide them.

    `denies_transient` is the phase of the deprecated feature where the broker denies transient queues, else None.
    `user` and `permissions` (the patterns for configure, write and read) are those of the user that declares; with
    None permissions are not checked.
    """

    vhost: str
    version: str | None = None
    default_queue_type: str | None = None
    denies_transient: str | None = None
    user: str = ""
    permissions: tuple[str, str, str] | None = None

    @classmethod
    def of(cls, facts: Facts) -> Answers:
        """The broker of these facts; permissions are those of the tool's AMQP user, where they are known."""
        broker = facts.actual
        denied = next((d for d in broker.deprecated or () if d.name == TRANSIENT and d.state == "denied"), None)
        reach = next((r for r in facts.reach if r.permissions is not None), None)
        amqp = next((r.user for r in facts.reach if r.source is Source.AMQP and r.user), None)
        if reach is not None and amqp is not None and reach.user != amqp:
            reach = None  # the management user's permissions are not those of the user that declares
        return cls(
            vhost=facts.vhost,
            version=broker.version,
            default_queue_type=broker.default_queue_type,
            denies_transient=None if denied is None else (denied.phase or ""),
            user=(reach.user or "") if reach else "",
            permissions=reach.permissions if reach else None,
        )

    @property
    def _modern(self) -> bool:
        return Rules.of(self.version).version >= (4, 0, 0)

    def type_of(self, queue: Queue) -> str:
        """The type that a declaration of this queue asks for.

        The virtual host's default holds for durable queues that are neither exclusive nor auto-delete.
        """
        if "x-queue-type" in queue.arguments:
            return str(queue.arguments["x-queue-type"])
        default = self.default_queue_type
        return default if default and queue.durable and not queue.exclusive and not queue.auto_delete else "classic"

    def queue_attributes(self, desired: Queue, actual: QueueState) -> Iterator[Attribute]:
        """The attributes of a queue that differ, in the order in which the broker compares them."""
        if desired.exclusive != actual.exclusive:
            yield Attribute("exclusive", desired.exclusive, actual.exclusive)
        if desired.durable != actual.durable and not (desired.exclusive and actual.exclusive):
            yield Attribute("durable", desired.durable, actual.durable)  # an exclusive queue is transient in any case
        if desired.auto_delete != actual.auto_delete:
            yield Attribute("auto_delete", desired.auto_delete, actual.auto_delete)
        ours, theirs = desired.arguments, actual.arguments
        other: set[str] = set()
        if ours or theirs:
            other.update(n for n in ours if n != "x-queue-type" and not same(ours[n], theirs.get(n)))
            other.update(n for n in theirs if n not in ours and n != "x-queue-type")
        desired_type = self.type_of(desired)
        if desired_type != actual.type:
            other.add("x-queue-type")
        if not other:
            return
        if self._modern:  # 4.0 and later add the type where it was not declared
            ours, theirs = {**ours, "x-queue-type": desired_type}, {**theirs, "x-queue-type": actual.type}
        compared = self._compared(actual.type)
        for name in (*(n for n in compared if n in other), *sorted(other.difference(compared))):
            yield _argument(name, ours.get(name), theirs.get(name), name in compared)

    def exchange_attributes(self, desired: Exchange, actual: ExchangeState) -> Iterator[Attribute]:
        """The attributes of an exchange that differ, in the order in which the broker compares them."""
        for name in ("type", "durable", "auto_delete", "internal"):
            if getattr(desired, name) != getattr(actual, name):
                yield Attribute(name, getattr(desired, name), getattr(actual, name))
        for name in dict.fromkeys(("alternate-exchange", *desired.arguments, *actual.arguments)):
            if not same(desired.arguments.get(name), actual.arguments.get(name)):
                compared = name == "alternate-exchange"
                yield _argument(name, desired.arguments.get(name), actual.arguments.get(name), compared)

    def redeclared(self, kind: str, name: str, attributes: tuple[Attribute, ...]) -> BrokerError | None:
        """The error on redeclaring with other attributes; it names the first one that the broker compares."""
        first = next((a for a in attributes if a.compared), None)
        if first is None:
            return None
        if first.name == "exclusive":
            return self._error(405, f"RESOURCE_LOCKED - {_LOCKED.format(name=name, vhost=self.vhost)}")
        where = f"for {kind} '{name}' in vhost '{self.vhost}'"
        text = f"inequivalent arg '{first.name}' {where}: {self._received(first)}"
        return self._error(406, f"PRECONDITION_FAILED - {text}")

    def new_queue(self, queue: Queue) -> BrokerError | None:
        """The error on declaring a queue that does not exist, None where it is created."""
        if queue.name.startswith("amq."):
            return self._reserved("queue", queue.name)
        refused = self._refused("configure", "queue", queue.name)
        if refused is None and "x-dead-letter-exchange" in queue.arguments:
            target = str(queue.arguments["x-dead-letter-exchange"])
            refused = self._refused("read", "queue", queue.name) or self._refused("write", "exchange", target)
        return refused or self._invalid(queue)

    def new_exchange(self, exchange: Exchange) -> BrokerError | None:
        """The error on declaring an exchange that does not exist, None where it is created."""
        if exchange.name.startswith("amq."):
            return self._reserved("exchange", exchange.name)
        refused = self._refused("configure", "exchange", exchange.name)
        if refused is None and "alternate-exchange" in exchange.arguments:
            target = str(exchange.arguments["alternate-exchange"])
            refused = self._refused("read", "exchange", exchange.name) or self._refused("write", "exchange", target)
        return refused

    def bound(self, source: str, kind: str, destination: str) -> BrokerError | None:
        """The error on binding two objects that exist, None where they are bound."""
        return self._refused("write", kind, destination) or self._refused("read", "exchange", source)

    def not_found(self, kind: str, name: str) -> BrokerError:
        """The error on using what does not exist."""
        return self._error(404, f"NOT_FOUND - no {kind} '{name}' in vhost '{self.vhost}'")

    def _compared(self, queue_type: str) -> tuple[str, ...]:
        version = Rules.of(self.version).version
        names = _COMPARED.get(queue_type, _COMPARED["classic"])
        return tuple(n for n in names if version >= _SINCE.get((queue_type, n), (0, 0, 0)))

    def _received(self, first: Attribute) -> str:
        desired, actual = first.desired, first.actual
        if first.name == "auto_delete" and actual is None:  # an exchange that was imported without it
            return f"received '{_word(desired)}' but current is none"
        if first.name.startswith("x-") or first.name == "alternate-exchange":
            if desired is None:
                return f"received none but current is {_typed(actual)}"
            if actual is None:
                return f"received {_typed(desired)} but current is none"
        return f"received '{_word(desired)}' but current is '{_word(actual)}'"

    def _invalid(self, queue: Queue) -> BrokerError | None:
        if self.denies_transient is not None and not queue.durable and not queue.exclusive:
            text = _DENIED[self.denies_transient == "denied_by_default"]
            return self._error(541, f"INTERNAL_ERROR - {text}", "connection")
        wrong = {"auto-delete": queue.auto_delete, "exclusive-owner": queue.exclusive, "non-durable": not queue.durable}
        first = next((name for name, is_so in wrong.items() if is_so), None)
        if first is None or self.type_of(queue) not in ("quorum", "stream"):
            return None
        where = f"for queue '{queue.name}' in vhost '{self.vhost}'"
        return self._error(406, f"PRECONDITION_FAILED - invalid property '{first}' {where}")

    def _refused(self, right: str, kind: str, name: str) -> BrokerError | None:
        if self.permissions is None:
            return None
        pattern = self.permissions[("configure", "write", "read").index(right)]
        name = name or "amq.default"
        # An empty pattern grants nothing, although as a regular expression it is in every name.
        if pattern and found_in(pattern, name) is not False:
            return None
        access = f"{right} access" if self._modern else "access"
        text = f"{access} to {kind} '{name}' in vhost '{self.vhost}' refused for user '{self.user}'"
        return self._error(403, f"ACCESS_REFUSED - {text}")

    def _reserved(self, kind: str, name: str) -> BrokerError:
        return self._error(403, f"ACCESS_REFUSED - {kind} name '{name}' contains reserved prefix 'amq.*'")

    @staticmethod
    def _error(code: int, text: str, closes: Literal["channel", "connection"] = "channel") -> BrokerError:
        # A reply text has at most 255 bytes (rabbit_binary_generator cuts it).
        data = text.encode()
        shown = text if len(data) <= 255 else data[:252].decode(errors="ignore") + "..."
        return BrokerError(code, shown, closes)


_SIMPLE = frozenset({str, int, bool})


def same(one: Any, other: Any) -> bool:
    """Whether two argument values are equal to the broker: 1 is neither true, "1" nor 1.0."""
    if type(one) is type(other) and type(one) in _SIMPLE:
        return bool(one == other)
    return comparable(one, loose=False) == comparable(other, loose=False)


def _argument(name: str, desired: Any, actual: Any, compared: bool) -> Attribute:
    key = name.removeprefix("x-")
    # A policy's limit can only lower an argument's; everything else it can only add.
    helps = key in _POLICY_KEYS and desired is not None
    helps = helps and (actual is None or (key in LIMITS and _less(desired, actual)))
    return Attribute(name, desired, actual, compared, policy_key=key if helps else None)


def _less(one: Any, other: Any) -> bool:
    return isinstance(one, int | float) and isinstance(other, int | float) and one < other


def _typed(value: Any) -> str:
    return f"the value '{_word(value)}' of type '{_type(value)}'"


def _type(value: Any) -> str:
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "signedint" if -(2**31) <= value < 2**31 else "long"
    return {float: "double", list: "array", dict: "table"}.get(type(value), "longstr")


def _word(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
