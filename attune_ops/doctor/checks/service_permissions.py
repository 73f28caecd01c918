"""Whether the users of the services have the permissions that the services need."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Mapping

from attune_ops.doctor.checks import check
from attune_ops.doctor.checks._common import listed, permission, running_node
from attune_ops.doctor.findings import Problem, Severity, Subject, Unknown
from attune_ops.model import command_lines
from attune_ops.model.facts import Facts, Source
from attune_ops.model.ownership import own_queues, service_of
from attune_ops.model.snapshot import PERMITS_EVERYTHING, PERMITS_NOTHING, ConsumerState, UserPermissions
from attune_ops.model.topology import ID, Binding, Per, Queue, Topology
from attune_ops.model.worker_process import worker_process

RIGHTS = ("configure", "write", "read")
DEFAULT_EXCHANGE = "amq.default"  # its name in a permission; in AMQP it has none
SERVER_NAMED = "amq.gen-JzTY20BRgKO-HjmUJj0wLg"  # like a name that the broker chooses
SERVER_NAMED_PATTERN = r"amq\.gen-.*"
OWN_NAMES = r"^(attune|worker)\..*"
Served = tuple[str, int | None]  # a service; a worker with its id
Needs = Mapping[str, frozenset[str]]  # names by right; a worker's with `{id}`


@check(
    "AT117",
    "service-permissions",
    "services' users have the permissions that they need",
    Severity.ERROR,
    needs=(Source.BROKER, Source.CONSUMERS, Source.CONNECTIONS, Source.USER_PERMISSIONS),
    required=False,
    any_broker=False,
)
def service_permissions(facts: Facts) -> Iterator[Problem]:
    """A running service keeps its consumers without permissions; it fails with 403 when it publishes or restarts.

    The users are those of the connections that have one of the services' consumers, or are a worker's. The topology
    says what each service declares (configure), binds (write on the queue, read on the exchange), publishes (write) and
    consumes (read). A queue with a dead-letter exchange also needs read on the queue and write on that exchange. The
    printed command keeps the user's patterns and adds what they do not match.

    A service that failed with 403 has no consumers any more: its user is that of the others, or of the AMQP URL where
    no service consumes. This is assumed only where no other user of the virtual host, apart from the management API's,
    may configure or write anything. Topic permissions are not checked. Only an administrator can read other users'
    permissions: without this tag the check is skipped, and so it is for a user of another authorisation backend (LDAP,
    OAuth 2).
    """
    known = {p.user: p for p in facts.actual.user_permissions or ()}
    if all(user in known and known[user].may_do_everything for user in _possible_users(facts)):
        return  # usual, and the services of each user take the longest to find
    unknown: list[str] = []
    found = _services(facts)
    only, silent = _only_user(facts, found), _without_consumer(facts, found)
    for user in sorted({*found, *({only} if only and silent else ())}):
        served = found.get(user, set()) | (silent if user == only else set())
        try:
            lacking = _lacking(known[user], _needs(facts.topology, served), _ids(facts, served))
            if user == only and any(lacking.values()):
                served |= {(service, None) for service in facts.topology.services}
                lacking = _lacking(known[user], _needs(facts.topology, served), _ids(facts, served))
        except KeyError:
            unknown.append(f"user {user} is not in the broker's own user database")
        except Unknown as e:
            unknown.append(f"user {user}: {e}")
        else:
            if any(lacking.values()):
                yield _problem(facts, known[user], served, silent if user == only else set(), lacking)
    if unknown:
        raise Unknown("; ".join(unknown))


def _problem(facts: Facts, has: UserPermissions, served: set[Served], silent: set[Served], lacking: Needs) -> Problem:
    services, away = sorted({service for service, _ in served}), sorted({service for service, _ in silent})
    names = {right: sorted(missing) for right, missing in lacking.items()}
    said = "; ".join(f"no {right} permission on {listed(some, 3)}" for right, some in names.items() if some)
    return Problem(
        Subject("user", has.user, facts.vhost),
        f"user {has.user} of {listed(services)}{f' (not consuming: {listed(away)})' if away else ''}: {said}",
        evidence={
            "user": has.user,
            "services": services,
            "not_consuming": away,
            "permissions": {right: getattr(has, right) for right in RIGHTS},
            "lacking": names,
        },
        remedy="Run the command on the broker's host. It keeps what the user may do now; a running service needs no "
        "restart, one that failed with 403 must be started again.",
        commands=(
            command_lines.set_permissions(facts.vhost, has.user, *_patterns(has, lacking), node=running_node(facts)),
        ),
    )


def patterns_of_all_services(topology: Topology | None, has: UserPermissions) -> dict[str, str]:
    """The patterns by right that keep what the user may do now, and permit what the services of a topology need.

    Without a topology they permit it for every release. Raises `Unknown` for a pattern that only the broker can match.
    """
    may_nothing = {has.configure, has.write, has.read} <= set(PERMITS_NOTHING)
    has = UserPermissions(has.user, OWN_NAMES, PERMITS_EVERYTHING, PERMITS_EVERYTHING) if may_nothing else has
    needs: Needs = {"configure": frozenset({SERVER_NAMED})}
    if topology is not None:
        needs = _needs(topology, {(service, None) for service in topology.services})
    return dict(zip(RIGHTS, _patterns(has, _lacking(has, needs, (1,))), strict=True))


def _patterns(has: UserPermissions, lacking: Needs) -> tuple[str, ...]:
    """The user's patterns, extended by what they lack."""
    return tuple(_extended(getattr(has, right), sorted(lacking.get(right, ()))) for right in RIGHTS)


def _possible_users(facts: Facts) -> set[str]:
    """The users that a service can have: of all that is connected, and of the AMQP URL."""
    users = {c.user for c in facts.actual.connections or ()} | {c.user for c in facts.actual.consumers or ()}
    return {user for user in users | {r.user for r in facts.reach if r.source is Source.AMQP} if user}


def _only_user(facts: Facts, found: Collection[str]) -> str | None:
    """The only user that the services can have: that of the connected ones, else the AMQP URL's; None where unsure.

    Another user of the virtual host that may configure or write something can be a service's, too. The management
    API's user can not: it is an administrator.
    """
    user_of = {r.source: r.user for r in facts.reach if r.user}
    users = set(found) or {user for source, user in user_of.items() if source is Source.AMQP}
    known = (p for p in facts.actual.user_permissions or () if p.user not in users | {user_of.get(Source.MANAGEMENT)})
    if len(users) != 1 or facts.actual.others_may_declare is not False or any(p.may_declare for p in known):
        return None
    return users.pop()


def _without_consumer(facts: Facts, found: Mapping[str, set[Served]]) -> set[Served]:
    """The services of which no connection is seen although they should consume."""
    seen = {service for served in found.values() for service, _ in served}
    base = {q.name for q in facts.topology.base_queues}
    consuming = {c.service for c in facts.topology.consumers if c.queue in base - facts.actual.consumers_of.keys()}
    return {
        (service, None) for service in consuming | ({"worker"} if facts.live_workers else set()) if service not in seen
    }


def _services(facts: Facts) -> dict[str, set[Served]]:
    """The users of the services' connections, each with its services; a worker with its id."""
    found: dict[str, set[Served]] = {}
    connections, own, owner_of = facts.actual.connection_named, facts.memo(own_queues), facts.owner_of
    for consumer in facts.actual.consumers or ():
        connection = connections.get(consumer.connection)
        user = (connection.user if connection else None) or consumer.user
        service = _service(facts, consumer) if user and consumer.queue in own else None
        if user and service:
            found.setdefault(user, set()).add((service, owner_of.get(consumer.queue)))
    for worker in facts.live_workers:
        connection = connections.get(worker_process(facts, worker).connection)
        if connection and connection.user:
            found.setdefault(connection.user, set()).add(("worker", worker.id))
    return found


def _service(facts: Facts, consumer: ConsumerState) -> str | None:
    """The service that a consumer of the topology's queues belongs to; on a server-named one the tag alone tells it."""
    found = service_of(facts, consumer)
    if found is not None or not facts.actual.queue_named[consumer.queue].exclusive:
        return found
    known = facts.topology.replica_consumer(consumer.tag)
    return known.service if known else None


def _ids(facts: Facts, served: Iterable[Served]) -> tuple[int, ...]:
    """The worker ids to try in names: those of the workers of the user, and the next one."""
    return (*sorted({i for _, i in served if i is not None}), max(facts.worker_named, default=0) + 1)


def _needs(topology: Topology, served: Iterable[Served]) -> Needs:
    """What the services need, by right: the names of queues and exchanges."""
    needs: dict[str, set[str]] = {right: set() for right in RIGHTS}
    for service in {service for service, _ in served}:
        queues: list[Queue] = [q for q in topology.queues if q.service == service]
        bindings: list[Binding] = [b for q in queues for b in topology.bindings_to(q.name)]
        if topology.is_set_up_by(service):
            needs["configure"] |= {e.name for e in topology.exchanges}
            queues += topology.common_queues
            bindings += topology.common_bindings
        labels = {q.name for q in topology.queues if q.per is Per.REPLICA}
        for queue in queues:
            name = SERVER_NAMED if queue.name in labels else queue.name
            needs["configure"].add(name)
            dead_letters = queue.arguments.get("x-dead-letter-exchange")
            if dead_letters is not None:
                needs["read"].add(name)
                needs["write"].add(str(dead_letters) or DEFAULT_EXCHANGE)
        for b in bindings:
            server_named = b.destination_kind == "queue" and b.destination in labels
            needs["write"].add(SERVER_NAMED if server_named else b.destination)
            needs["read"].add(b.source)
        published = {p.exchange for p in topology.publishes if {service, "any"} & set(p.by)}
        needs["write"] |= {exchange or DEFAULT_EXCHANGE for exchange in published}
        consumed = {c.queue for c in topology.consumers if c.service == service}
        needs["read"] |= {SERVER_NAMED if queue in labels else queue for queue in consumed}
    return {right: frozenset(names) for right, names in needs.items()}


def _lacking(has: UserPermissions, needs: Needs, ids: tuple[int, ...]) -> Needs:
    """What the user's patterns do not match."""
    lacking: dict[str, frozenset[str]] = {}
    for right, names in needs.items():
        if getattr(has, right) == PERMITS_EVERYTHING:  # usual, and names of all workers would be tried
            lacking[right] = frozenset()
            continue
        permitted = permission(getattr(has, right)) if names else bool
        lacking[right] = frozenset(
            name
            for name in names
            if not (all(permitted(name.replace(ID, str(i))) for i in ids) if ID in name else permitted(name))
        )
    return lacking


def _extended(pattern: str, names: list[str]) -> str:
    """The pattern that also matches these names, and only these of all that it did not match."""
    if not names:
        return pattern
    escaped = (
        SERVER_NAMED_PATTERN if n == SERVER_NAMED else re.escape(n).replace(re.escape(ID), "-?[0-9]+") for n in names
    )
    added = f"^(?:{'|'.join(escaped)})$"
    return added if pattern in PERMITS_NOTHING else f"{pattern}|{added}"
