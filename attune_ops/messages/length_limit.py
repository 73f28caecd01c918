"""The length limit of the queue that messages are published to: a full queue drops messages that were confirmed."""

from __future__ import annotations

import msgspec

from attune_ops.installation.config import Settings
from attune_ops.installation.management import open_management
from attune_ops.installation.management_types.objects import OneQueue
from attune_ops.messages.queue_state import size_of
from attune_ops.messages.selection import Target
from attune_ops.model.errors import ActionError, SourceError
from attune_ops.model.snapshot import PolicyState
from attune_ops.routing.effective_policy import REJECTS, EffectiveSetting, EffectiveSettings, PolicySet, queue_settings
from attune_ops.routing.rules import Rules

STATISTICS_OFF = (
    "the bytes in it are unknown: statistics are disabled (management_agent.disable_metrics_collector); with overflow "
    "reject-publish it would nack what does not fit"
)
NOT_YET = "it is not known yet whether the messages exceed it: try again in some seconds"
OF_ALL = (
    "; that is the size of all messages of the source, because the selected ones are known only when they are read; "
    "drain these to a file and restore it: restore counts only the messages of the file"
)
UNITS = {"max-length": "messages", "max-length-bytes": "bytes"}


class Room(msgspec.Struct, frozen=True):
    """What a queue has ready, and its limits above which it drops messages; `unknown` says why they were not read."""

    queue: str = ""
    limits: EffectiveSettings = {}
    ready: int | None = None
    size: int | None = None  # bytes ready
    unknown: str = ""
    statistics_off: bool = False

    def notes(self, messages: int, size: int | None, *, of_all: bool = False) -> tuple[str, ...]:
        """That the limits are unknown; raises `ActionError` where these messages may exceed one.

        `of_all` says that the size is that of all messages of a queue, and only some are selected.
        """
        dropped = "a full queue drops its oldest messages"
        if self.unknown:
            return (f"the length limit of queue {self.queue!r} is unknown ({self.unknown}): {dropped}",)
        for key, setting in self.limits.items() if messages else ():
            limit = f"queue {self.queue!r} has {key} {setting.value:,} ({_origin(setting)})"
            has, more = (self.ready, messages) if key == "max-length" else (self.size, size)
            if has is None or more is None:
                why = STATISTICS_OFF if self.statistics_off and key == "max-length-bytes" else NOT_YET
                raise ActionError(f"{limit}, and {why}; {dropped}, so nothing was published")
            if has + more > setting.value:
                hint = OF_ALL if of_all and key == "max-length-bytes" else ""
                raise ActionError(
                    f"{limit}: {has:,} {UNITS[key]} are ready, and up to {more:,} more would exceed it{hint}; "
                    f"{dropped}, so nothing was published"
                )
        return ()


def read_room(settings: Settings, target: Target) -> Room:
    """Reads the limits of a target that is a queue, needs tag management, changes nothing."""
    if target.exchange != "" or target.routing_key is None:
        return Room()
    name = target.routing_key
    try:
        with open_management(settings) as management:
            listed = management.live_counts(name)
            if listed is None:
                return Room(name, unknown="the management API does not list it")
            queue = listed.to_state()
            policies = PolicySet(management.policies(), Rules.of(management.overview().rabbitmq_version))
            policy = policies.of("queue", name, queue.type, queue.policy)
            operator = policies.effective_operator(name, queue.type)
            statistics: OneQueue | None = None
            limits = dropping(queue.type, queue_settings(queue.arguments, queue.type, policy, operator))
            if unreadable := [p for p in policies.unreadable if p.apply_to != "exchanges"]:
                statistics = management.queue(name)
                reported = reported_policy(statistics)
                if reported is not None:
                    limits = dropping(queue.type, queue_settings(queue.arguments, queue.type, reported, None)) or limits
                elif not limits:
                    patterns = ", ".join(repr(p.pattern) for p in unreadable)
                    return Room(name, unknown=f"a policy has the unsupported pattern {patterns}")
            if statistics is None and "max-length-bytes" in limits:
                statistics = management.queue(name)
    except SourceError as e:
        return Room(name, unknown=str(e))
    ready = queue.messages_ready
    size = None if ready is None else ready and size_of(statistics, ready)
    off = statistics is not None and statistics.consumer_details is None
    return Room(name, limits, ready, size, statistics_off=off)


def reported_policy(queue: OneQueue | None) -> PolicyState | None:
    """What policy and operator policy set for the queue, as the broker reports it; None while it does not."""
    definition = None if queue is None else queue.effective_policy_definition
    if queue is None or definition is None:
        return None
    name = queue.policy or queue.operator_policy or ""
    return PolicyState(queue.vhost, name, "", definition=definition if isinstance(definition, dict) else {})


def dropping(type: str, settings: EffectiveSettings) -> EffectiveSettings:
    """The limits above which a queue of that type drops messages; to a quorum queue reject-publish-dlx is drop-head."""
    overflow = settings.get("overflow")
    rejects = REJECTS[:1] if type == "quorum" else REJECTS
    if overflow is not None and overflow.value in rejects:
        return {}
    return {key: settings[key] for key in UNITS if key in settings and isinstance(settings[key].value, int)}


def _origin(setting: EffectiveSetting) -> str:
    return "its argument" if setting.origin == "argument" else f"{setting.origin} {setting.policy!r}"
