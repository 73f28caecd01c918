"""Whether AMQP, management API and registry are reachable, with which user, permissions and latency."""

from __future__ import annotations

import re
from collections.abc import Iterator

import msgspec

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import counted, listed, permits
from attune_ops.doctor.findings import NotRead, Problem, Severity, Subject, SubjectKind, Unknown
from attune_ops.model.command_lines import CONFIGURED
from attune_ops.model.errors import install
from attune_ops.model.facts import CLOCK_OFFSET_S, Facts, Reach, Source

SHOWS_ALL = {"monitoring", "administrator"}
ALL = (Source.AMQP, Source.MANAGEMENT, Source.REGISTRY)
DRIVER = install("postgres")  # in the error of a connection without the driver
TLS = ("amqps://", "https://")
TESTED = ((3, 10), (4, 0), (4, 3))  # the releases on which the tests were run: docs/compatibility.md

UNKNOWN_HOST = {"check its spelling": "Correct the host in the URL."}  # of every source

# The fix of a refused login, by words of the reason; live tests keep them equal to what the connection reports.
LOGIN = {
    "wrong user or password": "Correct the user or the password in the URL.",
    "has no permissions": "Run that rabbitmqctl command on the broker's host, or use a user with permissions there.",
    "connection limit": "Raise that limit, or close connections that nobody needs.",
    "no such virtual host": "Correct the virtual host at the end of the AMQP URL.",
}

# The same of the management API, which tells the tag that lacks.
API_FIX = {
    "wrong user or password": LOGIN["wrong user or password"],
    "has no management tag": "Run that rabbitmqctl command on the broker's host, or use a user with that tag.",
}

# The same of a registry that answers, and does not have what is read.
REGISTRY_FIX = {
    ": locked by ": (
        "End the transaction that has the lock, or wait for its end. Attune's own services wait for it, too."
    ),
    "no table": "The database answers, but has no such table: correct the database or the schema.",
    "has no column": "The database answers, but its table is not Attune's: correct the database or the schema.",
    "; GRANT ": "The database answers: give the user these rights, as the owner of the tables, or use another user.",
}


def _unreached(facts: Facts, source: Source, kind: SubjectKind, remedy: str) -> Iterator[Problem]:
    for reach in facts.reach:
        if reach.source is source and reach.error is not None:
            yield Problem(
                Subject(kind, reach.target or source),
                reach.error,
                evidence={"target": reach.target, "user": reach.user},
                remedy=_known_fix(source, reach.error) or remedy,
                inspect_commands=(CONFIGURED,),
            )


def _known_fix(source: Source, error: str) -> str | None:
    """What to do about an error of this source, where its words name the cause; None for another error."""
    fixes = UNKNOWN_HOST | {Source.REGISTRY: REGISTRY_FIX, Source.MANAGEMENT: API_FIX}.get(source, LOGIN)
    return next((fix for words, fix in fixes.items() if words in error), None)


@check("AT101", "amqp-reachable", "can connect to the broker over AMQP", Severity.ERROR, needs_attempt=(Source.AMQP,))
def amqp_reachable(facts: Facts) -> Iterator[Problem]:
    """Services use AMQP. When the broker refuses this tool, it usually refuses them too.

    The reason names host, port, user and virtual host separately. A refused port means that the broker is down or
    listens on another port. ACCESS_REFUSED means a wrong user or password (the broker never says which). "vhost not
    found" and "access to vhost refused" name the virtual host. A broker with a memory or disk alarm still accepts
    connections, but blocks those that publish.
    """
    remedy = "Start the broker, or correct the host, port, user or virtual host."
    yield from _unreached(facts, Source.AMQP, "broker", remedy)


@check(
    "AT102", "management-reachable", "management API is reachable", Severity.ERROR, needs_attempt=(Source.MANAGEMENT,)
)
def management_reachable(facts: Facts) -> Iterator[Problem]:
    """The doctor reads most of its facts from the management API. Without it, most checks are skipped.

    The API is a plug-in (`rabbitmq-plugins enable rabbitmq_management` on the broker's host). It listens on port
    15672 by default, and requires a user with the tag management, policymaker, monitoring or administrator. Attune's
    services do not use it: they can work while this check fails. Where passive declares over AMQP show which queues
    exist and are consumed, it is only a warning.
    """
    remedy = "Enable the plug-in rabbitmq_management, correct the URL, or give the user the tag monitoring."
    for problem in _unreached(facts, Source.MANAGEMENT, "broker", remedy):
        yield problem if facts.passive is None else msgspec.structs.replace(problem, severity=Severity.WARNING)


@check("AT103", "registry-reachable", "worker registry is reachable", Severity.ERROR, needs_attempt=(Source.REGISTRY,))
def registry_reachable(facts: Facts) -> Iterator[Problem]:
    """Without the database it is unknown which workers should have queues, and no worker can register.

    A worker that starts now fails at the step `register`. Running workers keep consuming, but their heartbeats
    become stale. The reason says whether the server, the credentials, the schema or the table is at fault.
    """
    for reach in facts.reach:
        if reach.source is Source.REGISTRY and DRIVER in (reach.error or ""):
            raise NotRead(f"the driver is missing: {DRIVER}")
    remedy = "Start the database, or correct its URL and schema."
    yield from _unreached(facts, Source.REGISTRY, "registry", remedy)


@check(
    "AT104", "answers-in-time", "response times are within limits", Severity.WARNING, needs_response=ALL, required=False
)
def answers_in_time(facts: Facts, *, latency_ms: float = 2000) -> Iterator[Problem]:
    """A slow response is an early sign of an overloaded host or a bad network.

    The latency is that of the first connection, with handshake and log-in. Services time out after 10 s or more. A
    broker that needs seconds is short of memory, disk or CPU.
    """
    for reach in facts.reach:
        if reach.latency_ms is not None and reach.latency_ms > latency_ms:
            yield Problem(
                _subject(reach),
                f"{reach.source} took {reach.latency_ms:,.0f} ms to respond; the limit is {latency_ms:,.0f} ms",
                evidence={"latency_ms": reach.latency_ms, "limit_ms": latency_ms},
                remedy="Check the load of that host and the network.",
            )
    _all_responded(facts, ALL)


@check(
    "AT105",
    "permissions",
    "user has configure, write and read permissions",
    Severity.ERROR,
    needs=(Source.PERMISSIONS,),
    required=False,
)
def permissions(facts: Facts) -> Iterator[Problem]:
    """A user with incomplete permissions fails a service in the middle of its start-up, with 403.

    Declaring needs `configure` on the queue or exchange. Binding needs `write` on the queue and `read` on the
    exchange. Publishing needs `write` on the exchange, consuming `read` on the queue. Declaring a queue with a
    dead-letter exchange needs `read` on the queue and `write` on that exchange. So a service needs all three
    permissions on every object. A user without any configure permission is treated as a read-only user, which is not
    an error.
    """
    names = [e.name for e in facts.topology.exchanges] + [q.name for q in facts.topology.base_queues]
    names += [q.name for q in facts.topology.worker_queues(1)]
    for reach in facts.reach:
        if reach.permissions is None:
            continue
        rights = dict(zip(("configure", "write", "read"), reach.permissions, strict=True))
        refused = {right: [n for n in names if not permits(p, n)] for right, p in rights.items()}
        if not any(refused.values()):
            continue
        read_only = len(refused["configure"]) == len(names)
        lacking = "; ".join(f"no {right} permission on {listed(some, 3)}" for right, some in refused.items() if some)
        yield Problem(
            Subject("broker", reach.target),
            f"user {reach.user}: {lacking}" + (" (a read-only user)" if read_only else ""),
            evidence={"user": reach.user, "permissions": rights, "refused": refused},
            remedy="Services need a user with all three permissions on these names. This tool needs none to read.",
            severity=Severity.INFO if read_only else Severity.ERROR,
            related={"user": (reach.user or "",)},
        )


@check(
    "AT106",
    "management-tags",
    "management user has the `monitoring` tag",
    Severity.INFO,
    needs=(Source.MANAGEMENT,),
    required=False,
)
def management_tags(facts: Facts) -> Iterator[Problem]:
    """Without this tag the management API hides objects, and "hidden" can be mistaken for "none".

    The tags `monitoring` and `administrator` show the nodes and the connections of all users. Other tags show only
    the user's own connections. Whatever the tag, objects are listed only for virtual hosts in which the user has a
    permission.
    """
    for reach in facts.reach:
        if reach.source is Source.MANAGEMENT and reach.tags is not None and not SHOWS_ALL & set(reach.tags):
            yield Problem(
                Subject("broker", reach.target),
                f"user {reach.user} (tags: {listed(reach.tags) or 'none'}) cannot list nodes and others' connections",
                evidence={"user": reach.user, "tags": list(reach.tags)},
                remedy="Give the user the tag monitoring, so that these are checked too.",
            )


@check(
    "AT107",
    "clocks-agree",
    "no clock skew between broker, registry and this host",
    Severity.WARNING,
    needs_response=ALL,
    required=False,
)
def clocks_agree(facts: Facts, *, clock_offset_s: float = CLOCK_OFFSET_S) -> Iterator[Problem]:
    """Heartbeats and message ages are compared between hosts. With clock skew, live workers appear dead.

    A heartbeat is stale when it is older than 90 s (setting `stale_after`). A skew of that size makes every
    worker appear dead, or hides a dead one. So does a heartbeat in the future: the clock or the time zone of its worker
    is wrong.
    """
    for reach in facts.reach:
        offset = reach.clock_offset_s
        if offset is not None and abs(offset) > clock_offset_s:
            direction = "ahead of" if offset > 0 else "behind"
            yield Problem(
                Subject("registry" if reach.source is Source.REGISTRY else "broker", reach.target),
                f"the clock of {reach.source} is {abs(offset):,.0f} s {direction} this host's",
                evidence={"offset_s": offset, "limit_s": clock_offset_s},
                remedy="Synchronise both hosts by NTP.",
            )
    registry = facts.registry_clock_offset_s
    in_time = registry is None or registry <= clock_offset_s
    workers = facts.registry.workers if facts.registry and in_time else ()
    leads = ((w.name, (w.last_heartbeat - facts.taken_at).total_seconds()) for w in workers if w.last_heartbeat)
    ahead = {name: lead for name, lead in leads if lead > clock_offset_s}
    if ahead:
        yield Problem(
            Subject("registry", "heartbeats"),
            f"the heartbeat of {listed(ahead, 3)} is in the future, by up to {max(ahead.values()):,.0f} s: a dead "
            "worker appears live for that long",
            evidence={"ahead_s": ahead, "limit_s": clock_offset_s},
            remedy="Correct the clock or the time zone of the workers' hosts.",
        )
    _all_responded(facts, (Source.MANAGEMENT, Source.REGISTRY))
    if all(reach.clock_offset_s is None for reach in facts.reach):
        raise Unknown("no clock was read")


@check(
    "AT108",
    "version-known",
    "this tool is tested with the broker's version",
    Severity.INFO,
    needs=(Source.BROKER,),
    required=False,
    unknown=lambda facts: None if facts.actual.version else "the broker's version is unknown",
)
def version_known(facts: Facts) -> Iterator[Problem]:
    """The doctor relies on broker behaviour that was measured on RabbitMQ 3.10, 4.0 and 4.3.

    On the releases between them no test was run (docs/compatibility.md lists the runs), and another release may behave
    differently. What the broker reports about itself (the `state` of a deprecated feature, for example) takes
    precedence over what is known of its version.
    """
    version = facts.actual.version or ""
    found = re.match(r"(\d+)\.(\d+)", version)
    if found and (int(found[1]), int(found[2])) not in TESTED:
        *others, last = (f"{major}.{minor}" for major, minor in TESTED)
        yield Problem(
            Subject("broker", facts.vhost, facts.vhost),
            f"the broker runs RabbitMQ {version}; this tool is tested on {', '.join(others)} and {last}",
            evidence={"version": version, "tested": [f"{major}.{minor}" for major, minor in TESTED]},
            remedy="Verify findings that depend on the broker's version.",
        )


@check(
    "AT109",
    "certificate-lasts",
    "no certificate of a TLS connection to the broker expires soon",
    Severity.WARNING,
    needs_response=(Source.AMQP, Source.MANAGEMENT),
    required=False,
)
def certificate_lasts(facts: Facts, *, certificate_days: float = 21) -> Iterator[Problem]:
    """When a certificate expires, services can no longer connect, and disconnected ones cannot reconnect.

    The certificates are those that this tool's own connections to AMQP and the management API received. Behind a proxy
    this is the certificate of the proxy. Without TLS (amqp://, http://) there is none, even if the services use TLS.
    The certificate of the registry is not read. It is an error if a certificate expires in less than three days. Where
    a certificate cannot be read, the check is skipped.
    """
    unread = [r for r in facts.reach if r.target.startswith(TLS) and r.certificate_days is None]
    for reach in facts.reach:
        days = reach.certificate_days
        if days is not None and days < certificate_days:
            ends = f"expired {counted(-days, 'day')} ago" if days < 0 else f"expires in {counted(days, 'day')}"
            yield Problem(
                _subject(reach),
                f"the certificate of {reach.target} {ends}",
                evidence={"days": days, "limit_days": certificate_days},
                remedy="Renew the certificate and reload the listener.",
                severity=Severity.ERROR if days < 3 else None,
            )
    if unread:
        reason = unread[0].certificate_error or unread[0].error or "unknown reason"
        raise Unknown(f"a certificate was not read: {reason}")


def _all_responded(facts: Facts, sources: tuple[Source, ...]) -> None:
    """Raises `Unknown` where one of the sources was asked and did not respond: nothing is known of it."""
    for reach in facts.reach:
        if reach.source in sources and reach.error is not None:
            raise Unknown(f"{reach.source.label} did not respond")


def _subject(reach: Reach) -> Subject:
    return Subject("registry" if reach.source is Source.REGISTRY else "broker", reach.target or str(reach.source))
