"""What the doctor finds on a broker that a test may bring into trouble: a lab of its own."""

from __future__ import annotations

import os
import secrets
import subprocess
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from attune_ops import lab
from attune_ops.doctor.diagnosis import diagnose_live
from attune_ops.doctor.findings import CheckStatus, Report, Severity
from attune_ops.installation import amqp_write as act
from attune_ops.installation.amqp import depth
from attune_ops.installation.config.resolve import resolve
from attune_ops.lab.server import find
from attune_ops.model.errors import ConfigError, SourceError
from attune_ops.model.secret import Secret
from attune_ops.model.topology import Binding
from tests.conftest import end_lab
from tests.live.conftest import path_with_rabbitmqctl
from tests.live.doctor.broken import NOTIFICATIONS
from tests.live.places import Place, found
from tests.live.printed import proves
from tests.live.screen import copy, healthy, shows
from tests.world import Broker, Run, Users, Vhost, eventually

DENIED = "deprecated_features.permit.transient_nonexcl_queues = false"
MEMORY = (("set_vm_memory_high_watermark", "absolute", "1MB"), ("set_vm_memory_high_watermark", "0.6"))
DISK = (("set_disk_free_limit", "900000000000000"), ("set_disk_free_limit", "50000000"))
FEATURE = "transient_nonexcl_queues"


@pytest.fixture
def own(request: pytest.FixtureRequest) -> Iterator[lab.Lab]:
    """A lab of the test's own, of the installation that the live tests run on; of `param` nodes."""
    from tests.conftest import lacking

    server = os.environ.get("ATTUNE_OPS_TEST_SERVER")
    try:
        find(server)
    except ConfigError as e:
        lacking(f"no broker to start: {e}")
    name = f"t{secrets.token_hex(4)}"
    try:
        yield lab.up(name, server=server, nodes=getattr(request, "param", 1))
    finally:
        end_lab(name)


def statistics_say_alarm(place: Place) -> bool:
    """Whether the broker's statistics have the alarm by now: they are up to 10 s old."""
    return any(n.memory_alarm or n.disk_alarm for n in place.look(["AT113"]).facts.actual.nodes or ())


def crashed(own: lab.Lab, place: Place) -> Report:
    """Kills a queue's process until the broker gives it up: it is listed then, and answers nobody."""
    resource = f'rabbit_misc:r(<<"{place.vhost.name}">>, queue, <<"{NOTIFICATIONS}">>)'
    kill = f"{{ok, Q}} = rabbit_amqqueue:lookup({resource}), exit(amqqueue:get_pid(Q), kill), timer:sleep(50)"
    own.ctl("eval", f"[begin {kill} end || _ <- lists:seq(1, 30)].")
    report: Report = eventually(lambda: found(r := place.look(), Severity.ERROR) and r)
    assert found(report, Severity.ERROR) == {("AT504", NOTIFICATIONS)}
    with (
        pytest.raises(SourceError, match=r"does not answer \(no answer within 1 s\)"),
        place.vhost.channel() as channel,
    ):
        depth(channel.connection, NOTIFICATIONS, timeout=1)
    return report


@pytest.mark.slow
def test_an_alarm_and_a_denied_feature(own: lab.Lab, tmp_path: Path, run: Run) -> None:
    state = own.state
    broker = Broker(state.amqp_url, state.management_url)
    with broker.vhost() as vhost:
        place = Place(vhost, tmp_path)
        place.more_environment["PATH"] = path_with_rabbitmqctl(state, tmp_path)
        try:
            place.populate()
            assert not found(place.look(), Severity.ERROR)
            for alarm, calm in (MEMORY, DISK):  # each said by the very next look, whatever the statistics say
                own.ctl(*alarm)
                report = place.look()
                assert found(report, Severity.ERROR) == {("AT112", state.node.name)}
                (finding,) = report.at_least(Severity.ERROR)
                what = "memory" if alarm is MEMORY[0] else "disk"
                assert finding.evidence["alarms"] == [what]
                screen = shows(place, run, "AT112", what, "→ ", f"$ rabbitmqctl {calm[0]}")
                if what == "memory":
                    proves("AT112 rabbitmqctl set_vm_memory_high_watermark", place, place.look(["AT112"]), run)
                else:
                    proves("AT112 rabbitmqctl set_disk_free_limit", place, place.look(["AT112"]), run)
                copy(screen, "AT112", place, run)
                healthy(place, run)
                own.ctl(*alarm)
                eventually(lambda: statistics_say_alarm(place))
                own.ctl(*calm)
                after = place.look()
                assert not found(after, Severity.ERROR)
                (headroom,) = (r for r in after.results if r.code == "AT113")
                # Beside other load the statistics may have been refreshed in between.
                if statistics_say_alarm(place):
                    assert headroom.status is CheckStatus.SKIPPED
                    assert "no current statistics" in (headroom.reason or "")
            own.ctl(*MEMORY[0])
            proves("AT112 queues", place, place.look(), run)
            own.ctl(*MEMORY[1])
            silent = crashed(own, place)
            proves("AT504 queues", place, silent, run)
        finally:
            place.close()
        if broker.version < (4, 0, 0):
            return  # which knows no deprecated features

        node = state.node.name
        own.stop_node(node)
        own.start_node(node, config=[DENIED])
        fresh = Place(vhost, tmp_path / "denied")
        (tmp_path / "denied").mkdir()
        try:
            fresh.start("executor")
            fresh.start("worker", "w9", ok=False).disconnect()
            # RabbitMQ 4.0 does not tell over HTTP what it denies.
            expected = ("AT702", FEATURE) if broker.version >= (4, 3, 0) else ("AT401", "worker.1.executions")
            assert found(fresh.look(), Severity.ERROR) == {expected}
        finally:
            fresh.close()


@pytest.mark.slow
def test_what_is_printed_for_a_lab_reaches_the_lab(own: lab.Lab, tmp_path: Path) -> None:
    """`rabbitmqctl` as printed, in a shell that knows nothing of the lab: it changes the lab's own node."""
    settings = resolve({}, {}, lab=own.state.name)
    broker = Broker(own.state.amqp_url, own.state.management_url)
    vhost = Vhost(broker, "/", broker.user, broker.password)
    place = Place(vhost, tmp_path)
    users = Users(broker)
    try:
        services = users(vhost, tags="", name="services")
        amqp = msgspec.structs.replace(place.settings.amqp, user=services.user, password=Secret(services.password))
        place.settings = msgspec.structs.replace(place.settings, amqp=amqp)
        place.populate()
        vhost.api("PUT", "permissions/{vhost}/services", {"configure": "^attune", "write": "^attune", "read": "^$"})

        def printed() -> list[str]:
            return [str(c) for f in diagnose_live(settings, only=("AT117",)).findings for c in f.commands]

        (command,) = eventually(printed, within=30, every=1)
        done = subprocess.run(command, shell=True, env={"PATH": os.environ["PATH"]}, capture_output=True, check=False)
        assert done.returncode == 0, f"{command}: {done.stderr.decode()}"
        eventually(lambda: not printed(), within=30, every=1)
    finally:
        place.close()
        users.close()


@pytest.mark.slow
@pytest.mark.parametrize("own", [2], indirect=True)
def test_a_node_that_is_down(own: lab.Lab, tmp_path: Path) -> None:
    """One finding, though the broker also takes away the bindings of the queue that was there."""
    state = own.state
    other = next(n.name for n in state.nodes if n.name != state.node.name)
    broker = Broker(state.amqp_url, state.management_url)
    vhost = Vhost(broker, "/", broker.user, broker.password)
    place = Place(vhost, tmp_path)
    try:
        place.populate()
        vhost.api("DELETE", f"queues/{{vhost}}/{NOTIFICATIONS}")
        there = {"durable": True, "arguments": {"x-dead-letter-exchange": "attune.dlx"}, "node": other}
        vhost.api("PUT", f"queues/{{vhost}}/{NOTIFICATIONS}", there)
        with vhost.channel() as channel:
            act.bind(channel, Binding("attune.notifications", NOTIFICATIONS, ""))
        eventually(lambda: not found(place.look(), Severity.ERROR))
        own.stop_node(other)
        try:
            report = eventually(lambda: found(r := place.look(), Severity.ERROR) == {("AT110", other)} and r, within=30)
        finally:
            own.start_node(other)  # one of two is no majority, without which RabbitMQ 4.3 changes nothing
        (finding,) = report.at_least(Severity.ERROR)
        assert "it hosts 1 queue" in finding.detail
        assert "AT504" in {c.code for c in finding.consequences}
    finally:
        place.close()
