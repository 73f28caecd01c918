"""What to do about an alarm: the limit is changed by a command only where the numbers show that it is the fault."""

from __future__ import annotations

import msgspec
import pytest

from attune_ops.doctor.checks import all_checks
from attune_ops.doctor.diagnose import choose
from attune_ops.doctor.findings import CheckStatus
from attune_ops.model.facts import Facts
from attune_ops.model.snapshot import ConnectionState
from tests.unit.doctor.checks.world import EVENTS, GB, NODE, ask, change, healthy, queues

H = healthy()
ALARMS = choose(all_checks(), ["AT112"])


def alarm(what: str, facts: Facts = H, **node: int | None) -> Facts:
    made = msgspec.structs.replace(NODE, **{f"{what}_alarm": True}, **node)
    return change(facts, alarms=(f"{what} alarm on rabbit@a",), nodes=(made,))


def holding(size: int | None) -> Facts:
    return queues(H, EVENTS, messages=100, message_bytes=size)


@pytest.mark.parametrize(
    ("facts", "command"),
    [
        (alarm("disk", disk_free=20 * GB, disk_free_limit=30 * GB), f"set_disk_free_limit {10 * GB} -n rabbit@a"),
        (alarm("disk", disk_free=GB // 2, disk_free_limit=GB), ""),
        (alarm("memory", holding(2000), memory_used=17 * GB), "set_vm_memory_high_watermark 0.6 -n rabbit@a"),
        (alarm("memory", holding(2000), memory_used=16 * GB), ""),  # of 16 GB 0.6 would be less than the limit
        (alarm("memory", holding(2000), memory_used=17 * GB, memory_limit=None), ""),
        (alarm("memory", holding(2 * GB), memory_used=17 * GB), ""),  # draining helps
        (alarm("memory", holding(None), memory_used=17 * GB), ""),  # it may help
        (alarm("memory", memory_used=None), ""),  # unknown, which is not 0
        (change(alarm("memory"), alarms=("file descriptor alarm on rabbit@a",)), ""),
        (change(H, alarms=("memory alarm on rabbit@a",)), ""),  # the node's numbers are older than the alarm
        (change(H, alarms=("memory alarm",)), ""),
    ],
)
def test_the_limit_is_changed_only_where_it_is_the_fault(facts: Facts, command: str) -> None:
    (finding,) = ask(facts, *ALARMS).findings
    assert [str(c) for c in finding.commands] == ([f"rabbitmqctl {command}"] if command else [])
    assert "The alarm then clears by itself." in finding.remedy


def test_where_the_limit_may_be_high_already_a_person_decides() -> None:
    """0.6 is the default from RabbitMQ 4.0 on, and the configuration may have more."""
    (finding,) = ask(alarm("memory", holding(2000), memory_used=11 * GB), *ALARMS).findings
    assert "so draining does not help: find what takes the memory" in finding.remedy


@pytest.mark.parametrize("code", ["AT113", "AT114"])
def test_during_an_alarm_its_consequences_are_not_called_absent(code: str) -> None:
    """AT112 reports them; the numbers of another resource still count."""
    checks = choose(all_checks(), [code])
    blocked = change(alarm("memory"), connections=(ConnectionState("c2", "/", state="blocked"),))
    for facts in (alarm("memory"), alarm("disk"), blocked):
        (result,) = ask(facts, *checks).results
        assert result.status is CheckStatus.SKIPPED
        assert (result.reason or "").startswith("AT112 reports an alarm")
    tight = alarm("memory", descriptors_used=950)
    assert len(ask(tight, *checks).findings) == (code == "AT113")


def test_an_unknown_number_is_not_0() -> None:
    (finding,) = ask(alarm("memory", memory_used=None), *ALARMS).findings
    assert finding.detail == "memory alarm on rabbit@a: publishers are blocked"
    (finding,) = ask(alarm("disk", disk_free=GB, disk_free_limit=None), *ALARMS).findings
    assert finding.detail == "disk alarm on rabbit@a: publishers are blocked"


def test_two_alarms_have_a_fix_each() -> None:
    node = msgspec.structs.replace(NODE, memory_used=17 * GB, memory_alarm=True, disk_alarm=True, disk_free=20 * GB)
    facts = change(H, alarms=("memory alarm on rabbit@a", "disk alarm on rabbit@a"), nodes=(node,))
    (finding,) = ask(facts, *ALARMS).findings
    assert [c.words[0] for c in finding.commands] == ["set_vm_memory_high_watermark", "set_disk_free_limit"]


def test_an_alarm_of_an_unknown_node_is_the_cluster_s() -> None:
    for cluster, name in (("attune", "attune"), (None, "/")):
        (finding,) = ask(change(H, alarms=("memory alarm",), cluster=cluster), *ALARMS).findings
        assert (finding.subject.kind, finding.subject.name) == ("broker", name)
