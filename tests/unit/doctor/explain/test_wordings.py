# ruff: noqa: E501 - the texts stand as they came
"""Every error is recognised in the words of each client, and of the broker's log. The texts are real ones."""

from __future__ import annotations

import pytest
from pika import spec

from attune_ops import render
from attune_ops.doctor.explain import explain
from attune_ops.doctor.explain.explanation import Explanation, Explanations

# What the broker (3.10.8, 4.0.5 or 4.3.6) sent, and what is to be read from it.
SENTENCES: dict[str, dict[str, object]] = {
    "NOT_FOUND - no queue 'q' in vhost '/'": {"code": 404, "subject": "q", "closes": "channel"},
    "NOT_FOUND - no queue 'amq.gen-JzTY20BRgKO-HjmUJj0wLg' in vhost '/'": {
        "code": 404, "subject": "amq.gen-JzTY20BRgKO-HjmUJj0wLg",
        "commands": ("attune-ops consumers", "attune-ops doctor --only AT204,AT405"),
    },
    "NOT_FOUND - no exchange 'x' in vhost '/'": {"code": 404, "subject": "x", "closes": "channel"},
    "NOT_FOUND - home node 'rabbit@b' of durable queue 'q' in vhost '/' is down or inaccessible": {
        "code": 404, "subject": "q", "closes": "channel",
    },
    "NOT_FOUND - queue 'q' in vhost '/' process is stopped by supervisor": {"code": 404, "subject": "q"},
    "NOT_FOUND - queue 'q' in vhost '/' has crashed and failed to restart": {
        "code": 404, "subject": "q", "commands": ("attune-ops doctor --only AT110,AT504", "rabbitmq-diagnostics log_tail"),
    },
    "NOT_FOUND - failed to perform operation on queue 'q' in vhost '/' due to timeout": {
        "code": 404, "subject": "q", "commands": ("attune-ops doctor --only AT110,AT504", "rabbitmqctl cluster_status"),
    },
    "PRECONDITION_FAILED - inequivalent arg 'durable' for queue 'q' in vhost '/': received 'true' but current is 'false'": {
        "code": 406, "subject": "q", "argument": "durable", "wanted": "'true'", "found": "'false'",
    },
    "PRECONDITION_FAILED - inequivalent arg 'auto_delete' for queue 'q' in vhost '/': received 'true' but current is "
    "'false'": {"code": 406, "argument": "auto_delete"},
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received the value '300000' of type "
    "'signedint' but current is none": {"code": 406, "argument": "x-message-ttl", "wanted": "'300000'", "found": "none"},
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received none but current is the "
    "value '300000' of type 'signedint'": {"code": 406, "wanted": "none", "found": "'300000'"},
    "PRECONDITION_FAILED - inequivalent arg 'x-message-ttl' for queue 'q' in vhost '/': received '5' but current is "
    "'300000'": {"code": 406, "wanted": "'5'", "found": "'300000'"},
    "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received the value 'quorum' of type "
    "'longstr' but current is none": {"code": 406, "argument": "x-queue-type", "wanted": "'quorum'", "found": "none"},
    "PRECONDITION_FAILED - inequivalent arg 'x-queue-type' for queue 'q' in vhost '/': received 'quorum' but current is "
    "'classic'": {"code": 406, "wanted": "'quorum'", "found": "'classic'"},
    "PRECONDITION_FAILED - inequivalent arg 'x-dead-letter-exchange' for queue 'q' in vhost '/': received the value 'a'b' of "
    "type 'longstr' but current is none": {"code": 406, "wanted": "'a'b'"},
    "PRECONDITION_FAILED - inequivalent arg 'type' for exchange 'x' in vhost '/': received 'topic' but current is "
    "'direct'": {"code": 406, "subject": "x", "argument": "type", "wanted": "'topic'", "found": "'direct'"},
    "PRECONDITION_FAILED - invalid arg 'x-message-ttl' for queue 'q' in vhost '/': \"expected integer, got longstr\"": {
        "code": 406, "argument": "x-message-ttl",
    },
    "PRECONDITION_FAILED - invalid arg 'x-max-priority' for queue 'q' in vhost '/': {value_negative,-4}": {"code": 406},
    "PRECONDITION_FAILED - invalid property 'non-durable' for queue 'q' in vhost '/'": {
        "code": 406, "argument": "non-durable",
    },
    "PRECONDITION_FAILED - unknown delivery tag 99": {"code": 406, "subject": "99"},
    "PRECONDITION_FAILED - delivery acknowledgement on channel 1 timed out. Timeout value used: 1800000 ms. This timeout "
    "value can be configured, see consumers doc guide to learn more": {"code": 406, "subject": "1"},
    "PRECONDITION_FAILED - queue 'q' in vhost '/' in use": {"code": 406, "subject": "q"},
    "PRECONDITION_FAILED - queue 'q' in vhost '/' not empty": {"code": 406, "subject": "q"},
    "PRECONDITION_FAILED - cannot declare queue 'q': queue limit in vhost '/' (0) is reached": {"code": 406, "subject": "q"},
    "PRECONDITION_FAILED - unknown exchange type 'bogus'": {"code": 406, "subject": "bogus"},
    "COMMAND_INVALID - unknown exchange type 'bogus'": {"code": 406, "subject": "bogus"},
    'PRECONDITION_FAILED - invalid message: {unacceptable_type_in_header,"CC",longstr}': {"code": 406},
    "PRECONDITION_FAILED - invalid expiration 'abc': no_integer": {"code": 406, "subject": "abc"},
    "PRECONDITION_FAILED - user_id property set to 'bob' but authenticated user was 'guest'": {"code": 406},
    "PRECONDITION_FAILED - message size 200000000 is larger than configured max size 134217728": {"code": 311},
    "RESOURCE_LOCKED - cannot obtain exclusive access to locked queue 'q' in vhost '/'. It could be originally declared on "
    "another connection or the exclusive property value does not match that of the original declaration.": {
        "code": 405, "subject": "q",
    },
    "ACCESS_REFUSED - access to queue 'q' in vhost '/' refused for user 'u'": {"code": 403, "subject": "q"},
    "ACCESS_REFUSED - configure access to queue 'q' in vhost '/' refused for user 'u'": {"code": 403, "subject": "q"},
    "ACCESS_REFUSED - write access to exchange 'amq.default' in vhost '/' refused for user 'u'": {"code": 403},
    "ACCESS_REFUSED - write access to topic 'k' in exchange 'x' in vhost '/' refused for user 'u'": {
        "code": 403, "subject": "k",
    },
    "ACCESS_REFUSED - queue 'q' in vhost '/' in exclusive use": {"code": 403, "subject": "q"},
    "ACCESS_REFUSED - queue name 'amq.foo' contains reserved prefix 'amq.*'": {"code": 403, "subject": "amq.foo"},
    "ACCESS_REFUSED - cannot publish to internal exchange 'x' in vhost '/'": {"code": 403, "subject": "x"},
    "ACCESS_REFUSED - operation not permitted on the default exchange": {"code": 403},
    "ACCESS_REFUSED - Login was refused using authentication mechanism PLAIN. For details see the broker logfile.": {
        "code": 403, "closes": "connection",
    },
    "NOT_ALLOWED - vhost nope not found": {"code": 530, "subject": "nope"},
    "NOT_ALLOWED - access to vhost 'vv' refused for user 'u'": {"code": 530, "subject": "vv"},
    "NOT_ALLOWED - access to vhost 'v' refused for user 'u': connection limit (0) is reached": {"code": 530, "subject": "v"},
    "NOT_ALLOWED - attempt to reuse consumer tag 'w'": {"code": 530, "subject": "w"},
    "CONNECTION_FORCED - operator's wish": {"code": 320},
    "CONNECTION_FORCED - vhost 'v' is deleted": {"code": 320},
    "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'": {"code": 320},
    "CHANNEL_ERROR - expected 'channel.open'": {"code": 504, "closes": "connection"},
    "UNEXPECTED_FRAME - expected content header for class 60, got non content header frame instead": {"code": 505},
    'FRAME_ERROR - type 1, all octets = <<"a">>: {invalid_frame_end_marker,0}': {"code": 501},
    "NOT_IMPLEMENTED - prefetch_size!=0 (10)": {"code": 540},
    "INTERNAL_ERROR": {"code": 541, "closes": "connection"},
    "INTERNAL_ERROR - access to vhost 'v' refused for user 'u': vhost 'v' is down": {
        "code": 541, "subject": "v", "commands": ("attune-ops health broker", "rabbitmqctl restart_vhost -p v"),
    },
    "INTERNAL_ERROR - Could not declare queue 'q' in vhost '/' on node 'rabbit@b' because the metadata store operation "
    "timed out": {"code": 541, "commands": ("attune-ops doctor --only AT110,AT111", "rabbitmqctl cluster_status")},
    "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nIts use is not permitted per the configuration "
    '(overriding the default, which is permitted):\n    "deprecated_features.permit.transient_nonexcl_queues = false"\nIts '
    "use will not be permit...": {"code": 541, "subject": "transient_nonexcl_queues"},
    "INTERNAL_ERROR - Feature `transient_nonexcl_queues` is deprecated.\nIts use is not permitted by default.": {
        "code": 541, "subject": "transient_nonexcl_queues",
    },
}  # fmt: skip

NUMBERS = {"COMMAND_INVALID": 503, "NOT_FOUND": 404, "PRECONDITION_FAILED": 406}


def only(text: str) -> Explanation:
    """The one error of a text."""
    found = explain(text)
    assert len(found) == 1, [(e.heading, e.text) for e in found]
    return found[0]


def pika_text(code: object, sentence: str) -> str:
    """As pika's exceptions print themselves."""
    return f"pika.exceptions.ChannelClosedByBroker: ({code}, {sentence!r})"


def lapin_text(code: object, sentence: str) -> str:
    """As lapin logs it, in the manner of the incident note."""
    quoted = sentence.replace('"', '\\"').replace("\n", "\\n")
    return f"""ERROR ThreadId(22) io_loop: Channel closed channel=2 method=Close {{
reply_code: {code},
reply_text: ShortString("{quoted}"),
class_id: 60,
method_id: 20
}} error=AMQPError {{
kind: Soft(NOTFOUND),
message: ShortString("{quoted}")
}}"""


def log_text(code: object, sentence: str) -> str:
    """As the broker's own log has it."""
    name, _, rest = sentence.partition(" - ")
    head = "2026-11-24 05:46:57.410713+00:00 [error] <0.1959.0>"
    if code in (404, 403, 405, 406):
        return (
            f"{head} Channel error on connection <0.1950.0> (127.0.0.1:1 -> 127.0.0.1:2, vhost: '/', user: 'guest'), channel "
            f"1:\n{head} operation basic.consume caused a channel exception {name.lower()}: {rest}"
        )
    quoted = rest.replace('"', '\\"').replace("\n", "\\n")
    return (
        f"{head} Error on AMQP connection <0.1950.0> (127.0.0.1:1 -> 127.0.0.1:2, vhost: '/', user: 'guest', state: running), "
        f'channel 1:\n{head}  operation basic.consume caused a connection exception {name.lower()}: "{quoted}"'
    )


@pytest.mark.parametrize("spelling", [lambda code, s: s, pika_text, lapin_text], ids=["plain", "pika", "lapin"])
@pytest.mark.parametrize("sentence", SENTENCES, ids=lambda s: s[:60])
def test_a_client_s_error_is_recognised(sentence: str, spelling: object) -> None:
    wanted = SENTENCES[sentence]
    assert callable(spelling)
    found = only(spelling(wanted["code"], sentence))
    assert {name: getattr(found, name) for name in wanted} == wanted
    assert found.count == 1
    assert found.meaning
    assert found.remedy
    assert "not reported" not in found.meaning or wanted["code"] in (403, 406)


LOGGED = [s for s in SENTENCES if s not in ("INTERNAL_ERROR",) and " - vhost nope" not in s and "Login was" not in s]


@pytest.mark.parametrize("sentence", LOGGED, ids=lambda s: s[:60])
def test_the_broker_s_log_says_the_same(sentence: str) -> None:
    wanted = SENTENCES[sentence]
    found = only(log_text(wanted["code"], sentence))
    assert (found.code, found.subject) == (wanted["code"], wanted.get("subject", found.subject))


@pytest.mark.parametrize("spelling", [lambda code, s: s, pika_text, lapin_text], ids=["plain", "pika", "lapin"])
def test_a_quoted_reason_at_the_end_is_whole(spelling: object) -> None:
    assert callable(spelling)
    found = only(spelling(320, "CONNECTION_FORCED - broker forced connection closure with reason 'shutdown'"))
    assert found.subject == "broker forced connection closure with reason 'shutdown'"


def test_the_incident_note_s_error() -> None:
    found = only(lapin_text(404, "NOT_FOUND - no queue 'worker.1.executions' in vhost '/'"))
    assert (found.code, found.subject, found.operation) == (404, "worker.1.executions", "basic.consume")


CLIENTS = {
    "pika.exceptions.AMQPHeartbeatTimeout: No activity or too many missed heartbeats in the last 60 seconds": "HEARTBEAT_LOST",
    "lapin error: no heartbeat received from server for too long": "HEARTBEAT_LOST",
    "closing AMQP connection <0.7.0> (1.2.3.4:5 -> 1.2.3.4:6): missed heartbeats from client, timeout: 60s": "HEARTBEAT_LOST",
    "closing AMQP connection <0.7.0> (1.2.3.4:5 -> 1.2.3.4:6): client unexpectedly closed TCP connection": "CLIENT_GONE",
    "AMQPConnectionError: (AMQPConnectorSocketConnectError: ConnectionRefusedError(111, 'Connection refused'),)": (
        "CONNECTION_REFUSED"
    ),
    "IO error: Connection refused (os error 111)": "CONNECTION_REFUSED",
    "socket.gaierror: [Errno -2] Name or service not known": "NO_SUCH_HOST",
    "IncompatibleProtocolError: The protocol returned by the server is not supported: (\"StreamLostError: "
    "('Transport indicated EOF',)\",)": "NOT_AMQP",
    "pika.exceptions.StreamLostError: Stream connection lost: ConnectionResetError(104, 'Connection reset by peer')": (
        "CONNECTION_LOST"
    ),
    "pika.exceptions.ConnectionBlockedTimeout: Blocked connection timeout expired.": "BLOCKED",
    "memory resource limit alarm set on node rabbit@a.": "BLOCKED",
    "pika.exceptions.ChannelWrongStateError: Channel is closed.": "CHANNEL_CLOSED",
    "<0.3630.0> {bad_header,<<\"GET / HT\">>}": "HANDSHAKE_TIMEOUT",
    "{handshake_timeout,frame_header}": "HANDSHAKE_TIMEOUT",
    "InvalidChannelState(Error)": "CHANNEL_CLOSED",
    'InvalidChannelState(Closed, "basic.publish")': "CHANNEL_CLOSED",
    "invalid channel state: Closed (basic.ack)": "CHANNEL_CLOSED",
    "InvalidChannel(7)": "CHANNEL_CLOSED",
    "InvalidConnectionState(Closed)": "CONNECTION_CLOSED",
    "invalid connection state: Error": "CONNECTION_CLOSED",
    "ChannelsLimitReached": "CHANNEL_LIMIT",
    'IOError(Custom { kind: ConnectionAborted, error: "connection aborted" })': "CONNECTION_LOST",
    'IOError(Os { code: 104, kind: ConnectionReset, message: "Connection reset by peer" })': "CONNECTION_LOST",
    "Error { kind: IOError(Kind(UnexpectedEof)), notifier: None }": "CONNECTION_LOST",
    "IO error: Socket not connected (os error 107)": "CONNECTION_LOST",
    'IOError(Os { code: 111, kind: ConnectionRefused, message: "Connection refused" })': "CONNECTION_REFUSED",
    "IOError(Kind(TimedOut))": "NO_ANSWER",
    'IOError(Custom { kind: Uncategorized, error: "failed to lookup address information: Name or service not known" })': (
        "NO_SUCH_HOST"
    ),
    "MissingHeartbeatError": "HEARTBEAT_LOST",
    "the server only supports AMQP 0-9-1": "NOT_AMQP",
    "Socket was readable but we read 0. This usually means that the connection is half closed, thus report it as broken.": (
        "CONNECTION_LOST"
    ),
    "HTTP access denied: user 'guest' - User can only log in via localhost": "ACCESS_REFUSED",
    "2023-02-23 01:55:01.045358+00:00 [warning] <0.710.0> HTTP access denied: user 'guest' - invalid credentials": (
        "ACCESS_REFUSED"
    ),
    "2026-11-24 05:46:57.4 [warning] <0.900.0> HTTP access denied: user 'attune' - Not management user": (
        "NO_MANAGEMENT_TAG"
    ),
    "{inet_error,{heartbeat_send_error,timeout}}": "HEARTBEAT_LOST",
    "2025-12-18 11:06:08.189762+00:00 [warning] <0.364.0> file descriptor limit alarm set.": "DESCRIPTORS_EXHAUSTED",
    "pika.exceptions.UnroutableError: 1 unroutable message(s) returned": "NO_ROUTE",
    "basic.return (312, 'NO_ROUTE')": "NO_ROUTE",
    "Consumer 'worker-1' on channel 1 and queue 'worker.1.executions' in vhost '/' has timed out waiting for a consumer "
    "acknowledgement of a delivery with delivery tag = 1. Timeout used: 1800000 ms. This timeout value can be configured": (
        "PRECONDITION_FAILED"
    ),
    "PLAIN login refused: user 'guest' - invalid credentials": "ACCESS_REFUSED",
    "Feature `management_metrics_collection` is deprecated.\n2026-11-24 05:39:16.614724+00:00 [warning] <0.883.0> By "
    "default, this feature can still be used for now.": "DEPRECATED",
}  # fmt: skip


SOFT = {311: "CONTENT_TOO_LARGE", 312: "NO_ROUTE", 313: "NO_CONSUMERS", 403: "ACCESS_REFUSED", 404: "NOT_FOUND",
        405: "RESOURCE_LOCKED", 406: "PRECONDITION_FAILED"}  # fmt: skip
HARD = {320: "CONNECTION_FORCED", 402: "INVALID_PATH", 501: "FRAME_ERROR", 502: "SYNTAX_ERROR", 503: "COMMAND_INVALID",
        504: "CHANNEL_ERROR", 505: "UNEXPECTED_FRAME", 506: "RESOURCE_ERROR", 530: "NOT_ALLOWED",
        540: "NOT_IMPLEMENTED", 541: "INTERNAL_ERROR"}  # fmt: skip
KINDS = {**{c: ("Soft", n) for c, n in SOFT.items()}, **{c: ("Hard", n) for c, n in HARD.items()}}


@pytest.mark.parametrize("message", ['"{}"', 'ShortString("{}")'])
@pytest.mark.parametrize("sentence", ["", "said by the client itself", "{name} - said by the broker"])
@pytest.mark.parametrize("code", KINDS)
def test_the_error_kinds_of_rust(code: int, sentence: str, message: str) -> None:
    """The debug format of amq-protocol, in one line, in many (`{:#?}`), and within lapin's own two formats."""
    group, name = KINDS[code]
    text = message.format(sentence.format(name=name))
    debug = f"AMQPError {{ kind: {group}({name.replace('_', '')}), message: {text} }}"
    pretty = f"AMQPError {{\n    kind: {group}(\n        {name.replace('_', '')},\n    ),\n    message: {text},\n}}"
    for spelling in (
        debug,
        pretty,
        f"ProtocolError({debug})",
        f"Error {{ kind: ProtocolError({debug}), notifier: None }}",
    ):
        assert (only(spelling).code, only(spelling).name) == (code, name)
    shown = f"protocol error: AMQP {group.lower()} error: {name.replace('_', '-')}"
    for spelling in (shown, f"{shown}: {sentence.format(name=name)}"):
        assert (only(spelling).code, only(spelling).name) == (code, name)


ATTUNE = {
    "2026-02-03T14:02:11.482Z ERROR attune_common::mq::consumer: Failed to deserialize message envelope: missing field "
    "`payload` at line 1 column 312 queue=attune.execution.status.queue": ("BODY_NOT_DECODED", "payload", "routes,flow"),
    'Serialization(Error("missing field `action_ref`", line: 1, column: 87))': (
        "BODY_NOT_DECODED", "action_ref", "routes,flow",
    ),
    "Failed to parse payload: invalid type: null, expected i64 at line 1 column 55": ("BODY_NOT_DECODED", None, "flow"),
    "unknown variant `ExecutionDone`, expected one of `EventCreated`, `RuleCreated` at line 1 column 40": (
        "BODY_NOT_DECODED", None, "flow",
    ),
    "WARN attune_executor::scheduler: Worker worker-a1 heartbeat is stale: last seen 121 s ago (max 90 s)": (
        "HEARTBEAT_STALE", "worker-a1", "workers",
    ),
    "worker=7 heartbeat is stale, skipping": ("HEARTBEAT_STALE", "7", "workers"),
    "ERROR attune_executor::scheduler: Failed to process scheduling: Scheduling error: No active, uncordoned workers "
    "available": ("NO_WORKER", None, "workers"),
    "ERROR attune_worker::heartbeat: error communicating with database: Connection refused (os error 111)": (
        "DATABASE_UNREACHABLE", None, "AT103",
    ),
    "pool timed out while waiting for an open connection": ("DATABASE_UNREACHABLE", None, "AT103"),
    'error returned from database: password authentication failed for user "attune"': (
        "DATABASE_UNREACHABLE", None, "AT103",
    ),
    'error returned from database: relation "worker" does not exist': ("TABLE_MISSING", "worker", "AT103"),
    'Database(PgDatabaseError { severity: Error, code: "42P01", message: "relation \\"attune.execution\\" does not '
    'exist", detail: None })': ("TABLE_MISSING", "attune.execution", "AT103"),
    '{"level":"ERROR","fields":{"error":"error returned from database: relation \\"worker\\" does not exist"}}': (
        "TABLE_MISSING", "worker", "AT103",
    ),
    'ERROR:  relation "worker" does not exist\nLINE 1: SELECT id FROM worker': ("TABLE_MISSING", "worker", "AT103"),
    'error returned from database: column "cordoned" of relation "worker" does not exist': (
        "TABLE_MISSING", "worker", "AT103",
    ),
    'error returned from database: duplicate key value violates unique constraint "worker_name_key"': (
        "WORKER_NAME_TAKEN", None, "AT404",
    ),
    'Database(PgDatabaseError { severity: Error, code: "23505", message: "duplicate key value violates unique '
    'constraint \\"worker_name_key\\"", detail: Some("Key (name)=(worker-a1) already exists.") })': (
        "WORKER_NAME_TAKEN", "worker-a1", "AT404",
    ),
    'ERROR:  duplicate key value violates unique constraint "worker_name_key"\nDETAIL:  Key (name)=(worker-a1) already '
    "exists.": ("WORKER_NAME_TAKEN", "worker-a1", "AT404"),
}  # fmt: skip


@pytest.mark.parametrize("text", ATTUNE, ids=lambda t: t[:60])
def test_what_attune_s_services_say(text: str) -> None:
    name, subject, leads_to = ATTUNE[text]
    found = only(text)
    assert (found.name, found.subject) == (name, subject)
    assert any(c.startswith("attune-ops doctor --only") and leads_to in c for c in found.commands)


@pytest.mark.parametrize("text", CLIENTS, ids=lambda t: t[:60])
def test_what_clients_say_without_a_code(text: str) -> None:
    assert only(text).name == CLIENTS[text]


@pytest.mark.parametrize("code", [311, 312, 320, 402, 403, 404, 405, 406, 501, 502, 503, 504, 505, 506, 530, 540, 541])
def test_a_bare_code_is_explained(code: int) -> None:
    assert only(str(code)).code == code
    assert only(f"reply_code: {code}").code == code


NO_ERRORS = ("404 Not Found", "execution 404 failed", "Action core.sleep timed out after 300 seconds")


@pytest.mark.parametrize(
    "text", ["", "hello", "everything is fine", "200 OK", "took 404.5 ms", "10.0.0.1:541", *NO_ERRORS]
)
def test_other_text_holds_no_error(text: str) -> None:
    assert explain(text) == ()


def test_a_bare_reply_code_is_an_error_in_a_short_text() -> None:
    for length, found in (200, ["404"]), (201, []):
        text = "reply code 404".ljust(length, "-")
        assert [str(e.code) for e in explain(text)] == found


def test_a_log_is_counted_and_sorted() -> None:
    q1, q2 = (pika_text(404, f"NOT_FOUND - no queue 'worker.{i}.executions' in vhost '/'") for i in (1, 2))
    log = "\n".join([q2, "INFO all fine", q1, "connection refused? no", q1, q1])
    first, second = explain(log)
    assert (first.subject, first.count, first.line) == ("worker.1.executions", 3, 3)
    assert (second.subject, second.count, second.line) == ("worker.2.executions", 1, 1)
    data = render.form(Explanations((first, second)), "json")["errors"]  # without what is 1
    assert [(e.get("count", 1), e.get("line", 1)) for e in data] == [(3, 3), (1, 1)]


@pytest.mark.parametrize(
    "text", [s for s in (*SENTENCES, *CLIENTS) if "delivery acknowledgement" in s or "timed out waiting for" in s]
)
def test_a_worker_that_may_only_be_busy_is_not_restarted(text: str) -> None:
    assert "wait until they are done" in only(text).remedy


@pytest.mark.parametrize("text", [s for s in SENTENCES if "inequivalent arg" in s], ids=lambda t: t[:60])
def test_what_a_deletion_loses_is_said(text: str) -> None:
    for found in (only(text), only(text.partition(": received")[0])):
        assert "drain it first" in found.remedy
        assert "with all its bindings" in found.remedy


@pytest.mark.parametrize("text", SENTENCES, ids=lambda t: t[:60])
def test_no_printed_command_changes_the_installation_at_once(text: str) -> None:
    assert not any("--apply" in command for command in only(text).commands)


def test_an_error_that_is_there_twice_says_so() -> None:
    text = "NOT_FOUND - no queue 'q' in vhost '/'\n"
    for count in (1, 2, 3):
        (data,) = render.form(Explanations(explain(text * count)), "json")["errors"]
        assert data.get("count", 1) == count


def test_one_541_in_the_broker_s_log_is_one_error() -> None:
    head = "2026-11-24 06:06:17.032650+00:00 [error] <0.1056.0>"
    log = f"""{head} Feature `transient_nonexcl_queues` is deprecated.
{head} Its use is not permitted per the configuration (overriding the default, which is permitted):
{head}     "deprecated_features.permit.transient_nonexcl_queues = false"
{head} Error on AMQP connection <0.1047.0> (127.0.0.1:34078 -> 127.0.0.1:22369, vhost: '/', user: 'attune'), channel 1:
{head}  operation queue.declare caused a connection exception internal_error: "Feature `transient_nonexcl_queues` is \
deprecated.\\nIts use is not permitted per the configuration (overriding the default, which is permitted):\\n    \\"x\\""
"""
    found = only(log)
    assert (found.code, found.count, found.operation) == (541, 1, "queue.declare")


@pytest.mark.parametrize(
    "name", ["<script>", "it's", 'say "hi"', "../etc", "a b", "🐇" * 30, "q" * 200, "two\nlines", "{curly}", "%s"]
)
def test_hostile_names_come_through(name: str) -> None:
    found = only(f"NOT_FOUND - no queue '{name}' in vhost '/'")
    assert found.subject == name


OPERATIONS = (
    "Connection.Open", "Channel.Open", "Exchange.Declare", "Exchange.Delete", "Exchange.Bind", "Queue.Declare",
    "Queue.Bind", "Queue.Purge", "Queue.Delete", "Queue.Unbind", "Basic.Qos", "Basic.Consume", "Basic.Cancel",
    "Basic.Publish", "Basic.Get", "Basic.Ack", "Basic.Reject", "Basic.Nack", "Confirm.Select",
)  # fmt: skip


@pytest.mark.parametrize("name", OPERATIONS)
def test_an_operation_by_its_numbers(name: str) -> None:
    """The numbers are those of pika."""
    (number,) = (i for i, method in spec.methods.items() if name == method.NAME)
    said = f"NOT_FOUND - no queue 'q' in vhost '/', class_id: {number >> 16}, method_id: {number & 0xFFFF}"
    assert only(said).operation == name.lower()


def test_a_name_that_was_cut_off_is_still_a_404() -> None:
    assert only("NOT_FOUND - no queue '" + "q" * 220 + "...").code == 404


def test_commands_quote_what_comes_from_the_broker() -> None:
    found = only("NOT_ALLOWED - vhost $(reboot) not found")
    assert "rabbitmqctl add_vhost '$(reboot)'" in found.commands


def test_a_large_log_is_read_in_reasonable_time() -> None:
    line = (
        "2026-11-24 05:46:57.410713+00:00 [info] <0.1.0> accepting AMQP connection 'quoted' (1.2.3.4:5 -> 1.2.3.4:6)\n"
    )
    error = log_text(404, "NOT_FOUND - no queue 'q' in vhost '/'") + "\n"
    (found,) = explain((line * 99 + error) * 300)
    assert found.count == 300


@pytest.mark.parametrize(
    ("text", "user"),
    [
        ("ACCESS_REFUSED - Login was refused", "USER"),
        ("(403, 'Login was refused')", "USER"),
        ("PLAIN login refused: user 'x y' - invalid credentials", "'x y'"),
    ],
)
def test_a_refused_login_is_about_the_password_and_not_about_permissions(text: str, user: str) -> None:
    found = only(text)
    assert (found.closes, found.commands[-1]) == ("connection", f"rabbitmqctl authenticate_user {user}")
    assert not any("permission" in words for words in (found.meaning, found.remedy, *found.commands))
