"""The answers of the management API as different releases give them: what is missing is None, never 0."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest

from attune_ops.installation import http
from attune_ops.installation.broker_reading import BrokerReading
from attune_ops.installation.config.urls import parse_amqp, parse_management
from attune_ops.installation.http import Answer, ApiError
from attune_ops.installation.management import Management, merge
from attune_ops.installation.management_types.clients import ChannelWire, ConnectionWire, ConsumerWire
from attune_ops.installation.management_types.cluster import NodeWire, WhoAmI
from attune_ops.installation.management_types.objects import QueueWire, Statistics
from attune_ops.installation.prometheus import Counters
from attune_ops.installation.side_by_side import SideBySide
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Source

ENDPOINT = parse_management("http://m:s3cret@h:15672", "o", parse_amqp("amqp://h", "o"))


def queue(totals: dict[str, Any], told: dict[str, Any] | None = None) -> Any:
    wanted = msgspec.convert({"name": "q", "vhost": "/", **totals}, QueueWire)
    statistics = {} if told is None else {"q": msgspec.convert({"name": "q", **told}, Statistics)}
    return merge([wanted], statistics)[0]


def test_a_queue_without_statistics_has_no_zeros() -> None:
    found = queue({"messages": 3, "messages_ready": 2, "messages_unacknowledged": 1})
    assert (found.messages, found.messages_ready, found.messages_unacknowledged) == (3, 2, 1)
    nothing = ("consumers", "memory", "publish_rate", "idle_since", "head_message_timestamp", "effective_policy")
    assert [getattr(found, name) for name in nothing] == [None] * 6


@pytest.mark.parametrize(
    ("told", "member", "value"),
    [
        ({"consumers": 0}, "consumers", 0),
        ({"operator_policy": None}, "operator_policy", None),
        ({"operator_policy": ""}, "operator_policy", None),
        ({"effective_policy_definition": []}, "effective_policy", {}),
        ({"effective_policy_definition": {"max-length": 3}}, "effective_policy", {"max-length": 3}),
        ({"head_message_timestamp": None}, "head_message_timestamp", None),
        ({"head_message_timestamp": 0}, "head_message_timestamp", datetime(1970, 1, 1, tzinfo=UTC)),
        ({"head_message_timestamp": 10**17}, "head_message_timestamp", None),
        ({"idle_since": "2026-11-24T05:50:15.559+00:00"}, "idle_since", datetime(2026, 11, 24, 5, 50, 15, 559000, UTC)),
        ({"idle_since": "2026-11-24 5:50:15"}, "idle_since", None),
        ({"idle_since": "2026-11-24 05:50:15"}, "idle_since", datetime(2026, 11, 24, 5, 50, 15, tzinfo=UTC)),
        ({"message_stats": {"publish_details": {"rate": 1.5}}}, "publish_rate", 1.5),
        ({"message_stats": {"publish_details": {}}}, "publish_rate", None),
    ],
)
def test_statistics(told: dict[str, Any], member: str, value: object) -> None:
    assert getattr(queue({}, told), member) == value


@pytest.mark.parametrize(
    ("type", "shown"), [("classic", "classic"), ("quorum", "quorum"), ("rabbit_mqtt_qos0_queue", "mqtt_qos0")]
)
def test_queue_type(type: str, shown: str) -> None:
    assert queue({"type": type}).type == shown


def test_a_node_that_is_down_or_does_not_know() -> None:
    down = msgspec.convert({"name": "n", "running": False}, NodeWire).to_state()
    assert (down.running, down.memory_used, down.memory_alarm, down.partitions) == (False, None, None, ())
    odd = {"name": "n", "running": True, "disk_free": "disk_free_monitoring_disabled", "fd_total": "unknown"}
    told = msgspec.convert(odd, NodeWire).to_state()
    assert (told.disk_free, told.descriptors_total) == (None, None)


def test_what_is_just_being_closed_has_an_empty_list_for_its_channel() -> None:
    data = {"consumer_tag": "t", "queue": {"name": "q", "vhost": "/"}, "channel_details": [], "new_member": 1}
    found = msgspec.convert(data, ConsumerWire).to_state()
    assert (found.queue, found.tag, found.channel, found.user) == ("q", "t", "", None)
    channel = msgspec.convert({"name": "c", "connection_details": []}, ChannelWire).to_state()
    assert channel.connection == ""


def test_client_properties_may_hold_anything() -> None:
    data = {"name": "c", "vhost": "/", "client_properties": {"connection_name": 7, "product": ["x"], "more": {}}}
    told = msgspec.convert(data | {"connected_at": 1_700_000_000_123}, ConnectionWire).to_state()
    assert (told.client_name, told.product) == (None, None)
    assert told.connected_at == datetime.fromtimestamp(1_700_000_000.123, UTC)


@pytest.mark.parametrize("tags", ["monitoring, management", ["monitoring", "management"]])
def test_tags_of_old_and_new_releases(tags: object) -> None:
    assert msgspec.convert({"name": "u", "tags": tags}, WhoAmI).all_tags == (
        "management",
        "monitoring",
    )


class Canned:
    """A transport that gives the answers that a real broker gave."""

    endpoint = ENDPOINT

    def __init__(self, status: int, body: bytes) -> None:
        self._answer = Answer(status, {"content-type": "application/json"}, body, 1.0)

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        return self._answer

    def close(self) -> None:
        pass


class ByPath(Canned):
    """Gives each path its own answer."""

    def __init__(self, answers: dict[str, tuple[int, bytes]]) -> None:
        self._answers = {"overview": (200, b"{}"), **answers}

    def request(self, method: str, path: str, body: bytes | None = None, timeout: float | None = None) -> Answer:
        status, said = self._answers[path]
        return Answer(status, {"content-type": "application/json"}, said, 1.0)


@pytest.mark.parametrize(("status", "missing"), [(200, None), (500, "answered 500")])
def test_a_queue_of_which_it_cannot_be_read_whether_it_is_there(status: int, missing: str | None) -> None:
    """It is bound, and the list with counts does not have it: its node may be down."""
    bound = {"source": "x", "vhost": "v", "destination": "q", "destination_type": "queue", "routing_key": "k"}
    answers = {
        "queues/v?disable_stats=true&enable_queue_totals=true": (200, b"[]"),
        "queues/v?disable_stats=true": (status, b'[{"name":"q","vhost":"v","state":"down"}]'),
        "bindings/v": (200, msgspec.json.encode([bound])),
    }
    reading = BrokerReading(Management(ByPath(answers), "v"), ("administrator",))
    with SideBySide(1) as pool:
        reading.ask(pool, frozenset({Source.BROKER}), frozenset({"queues", "bindings"}), lambda: Counters({}, {}))
        found = reading.snapshot()
    assert [q.name for q in found.queues or ()] == ([] if missing else ["q"])
    assert set(reading.missing) == ({Source.BROKER, Source.DEPTHS} if missing else set())
    assert all(missing and missing in reason for reason in reading.missing.values())


# As 3.10.8 answered while its memory limit was 1000 bytes, and with the virtual host's supervisor stopped.
ALARMS = b"""{"alarms":[{"node":"attune-1@localhost","resource":"memory"}],
"reason":"There are alarms in effect in the cluster","status":"failed"}"""
DOWN = b"""{"status":"failed","reason":"Some virtual hosts are down","virtual-hosts":["/"]}"""


@pytest.mark.parametrize("what", ["exchanges", "nodes"])
def test_an_empty_list_of_what_every_broker_has_is_no_answer(what: str) -> None:
    with pytest.raises(SourceError, match=f"lists no {what}, which RabbitMQ always has"):
        getattr(Management(Canned(200, b"[]"), "/"), what)()


def test_a_virtual_host_that_is_being_deleted_is_an_empty_list() -> None:
    listed = b'[[],{"name":"v","default_queue_type":"quorum"},{"name":"/","default_queue_type":"undefined"}]'
    found = Management(Canned(200, listed), "v").virtual_hosts()
    assert {v.name: v.queue_type for v in found} == {"v": "quorum", "/": None}


@pytest.mark.parametrize(
    ("others", "tag", "used"),
    [
        ([], "monitoring", False),
        ([{"name": "/", "messages": 0}], "administrator", False),
        ([{"name": "/", "messages": 0}], "management", None),
        ([{"name": "/", "messages": 1}], "management", True),
        ([{"messages": 1}], "management", True),
        ([{"messages": 0, "message_stats": []}, []], "monitoring", False),
        ([{"name": "/", "message_stats": {"publish": 9}}], "monitoring", True),
    ],
)
def test_whether_another_virtual_host_is_in_use(others: list[Any], tag: str, used: bool | None) -> None:
    path = "vhosts?columns=name,default_queue_type,messages,message_stats"
    listed = msgspec.json.encode([{"name": "v", "messages": 3, "default_queue_type": "quorum"}, *others])
    reading = BrokerReading(Management(ByPath({path: (200, listed)}), "v"), (tag,))
    with SideBySide(1) as pool:
        reading.ask(pool, frozenset({Source.BROKER}), frozenset({"default_queue_type"}), lambda: Counters({}, {}))
        found = reading.snapshot()
    assert (found.other_vhosts_used, found.default_queue_type) == (used, "quorum")


@pytest.mark.parametrize(
    ("status", "names", "reason"),
    [(200, ["a"], None), (200, ["a", "b"], "there are 2 nodes"), (500, [], "the nodes are unknown")],
)
def test_dead_letters_are_counted_by_each_node(status: int, names: list[str], reason: str | None) -> None:
    """The counters of one node are not those of a cluster, and it may be one where the nodes could not be read."""
    nodes = msgspec.json.encode([{"name": n, "running": True} for n in names])
    answers = {"nodes": (status, nodes)}
    reading = BrokerReading(Management(ByPath(answers), "v"), ("monitoring",))
    with SideBySide(1) as pool:
        reading.ask(pool, frozenset({Source.DEAD_LETTERED}), frozenset(), lambda: Counters({"rejected": 3}, {}))
        found = reading.snapshot()
    assert found.dead_lettered == (None if reason else {"rejected": 3})
    assert (reason or "") in reading.missing.get(Source.DEAD_LETTERED, "")


def test_health_checks_of_the_broker() -> None:
    assert Management(Canned(503, ALARMS), "/").alarms() == ("memory alarm on attune-1@localhost",)
    assert Management(Canned(200, b'{"status":"ok"}'), "/").alarms() == ()
    assert Management(Canned(503, DOWN), "/").virtual_hosts_down() == ("/",)
    with pytest.raises(ApiError, match="answered 500"):
        Management(Canned(500, b'{"error":"x","reason":"y"}'), "/").alarms()


@pytest.mark.parametrize("check", ["alarms", "virtual_hosts_down"])
@pytest.mark.parametrize(
    ("status", "body"),
    [(200, b"{}"), (200, b'{"status":"failed"}'), (200, b'{"status":"up"}'), (503, b"{}"), (503, b'{"status":"ok"}')],
)
def test_a_health_check_without_its_own_answer_is_unknown(check: str, status: int, body: bytes) -> None:
    """A proxy or another server may answer anything."""
    with pytest.raises(SourceError, match="in an unknown form"):
        getattr(Management(Canned(status, body), "/"), check)()


@pytest.mark.parametrize(
    ("status", "body", "vhost", "says"),
    [
        (500, b'{"error":[84,105,109,101,100,32,111,117,116],"reason":["error","timeout"]}', None, "Timed out"),
        (401, b'{"error":"not_authorised","reason":"Not management user"}', None, "'m' has no management tag"),
        (401, b'{"error":"not_authorised","reason":"Not monitor user"}', None, "'m' has no monitoring tag"),
        (401, b'{"error":"not_authorised","reason":"Not administrator user"}', None, "'m' has no administrator tag"),
        (401, b'{"error":"not_authorized","reason":"Login failed"}', None, "wrong user or password for user 'm'"),
        (401, b'{"error":"not_authorized","reason":"Not_Authorized"}', "v", "wrong user or password for user 'm'"),
        (
            401,
            b'{"error":"not_authorised","reason":"User not authorised to access object"}',
            None,
            "do not allow it",
        ),
        (401, b'{"error":"not_authorised","reason":"User not authorised to access virtual host"}', "v", "host 'v' is"),
        (404, b'{"error":"Object Not Found","reason":"Not Found"}', "v", "virtual host 'v' is missing or user 'm' has"),
        (404, b'{"error":"Object Not Found","reason":"Not Found"}', None, "no management API there"),
        (400, b'{"error":"bad_request","reason":"why\\nnot"}', None, "/api/overview: why not"),
        (400, b'{"error":"bad_request","reason":"[{&lt;&lt;\\"a&amp;b\\"&gt;&gt;,1}] no"}', None, '[{<<"a&b">>,1}] no'),
        (400, b'{"error":"bad_request","reason":["a"]}', None, "/api/overview: bad_request"),
        (500, b"", None, "/api/overview: no reason given"),
        (500, b"\xff\xfe", None, "/api/overview: no reason given"),
    ],
)
def test_refusals(status: int, body: bytes, vhost: str | None, says: str) -> None:
    with pytest.raises(ApiError) as e:
        http.check(ENDPOINT, "overview", Answer(status, {}, body, 0.0), vhost)
    assert says in str(e.value)
    assert str(e.value).startswith(f"management API http://m:***@h:15672 answered {status}: ")
    assert e.value.status == status
    assert "\n" not in str(e.value)


def test_the_prefix_may_be_what_is_wrong() -> None:
    behind = parse_management("http://m:s3cret@h/rabbit", "o", parse_amqp("amqp://h", "o"))
    with pytest.raises(ApiError, match="or the prefix '/rabbit' of the URL is wrong"):
        http.check(behind, "exchanges/%2F", Answer(404, {}, b"{}", 0.0), "/")


def test_an_answer_of_another_form_names_the_path() -> None:
    with pytest.raises(SourceError, match="answered /api/nodes in an unknown form: Expected `array`"):
        http.decode(ENDPOINT, "nodes?x=1", Answer(200, {}, b"{}", 0.0), list[NodeWire])


def test_no_consumers_is_not_the_same_as_not_told() -> None:
    told = Management(Canned(200, b'{"name":"q","vhost":"/","consumer_details":[]}'), "/").queue("q")
    disabled = Management(Canned(200, b'{"name":"q","vhost":"/"}'), "/").queue("q")
    assert told is not None
    assert disabled is not None
    assert (told.consumer_details, disabled.consumer_details) == ([], None)
