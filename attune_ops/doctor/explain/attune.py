"""Errors of Attune's own services about message bodies, heartbeats, scheduling, registration and the database."""

from __future__ import annotations

from attune_ops.doctor.explain.rule import rule

_WORKERS = ("attune-ops workers", "attune-ops doctor --only workers")

RULES = (
    rule(
        "BODY_NOT_DECODED",
        r"missing field `(?P<subject>[^`\n]{1,100})`|unknown (?:field|variant) `(?P<unknown>[^`\n]{1,100})`, expected|"
        r"invalid (?:type|value|length): [^\n]{1,200}?, expected [^\n]{1,200}? at line \d+ column \d+",
        "A service cannot decode a message body: a field is missing, unknown or of another type than it expects. The "
        "publisher is of another release than the consumer, or a program published the message by hand. The consumer "
        "rejects it without requeue: it is dead-lettered, and lost where no queue receives the dead letter. The "
        "broker does not decode bodies, so `doctor` sees only the dead letter.",
        "Compare the releases of the two services. Peek at the dead letters to see the body and who published it. "
        "If the error names a configuration file, add the field there.",
        kind="field",
        commands=("attune-ops doctor --only routes,flow", "attune-ops queues"),
    ),
    rule(
        "HEARTBEAT_STALE",
        r"(?:[Ww]orker[ :=]+['\"`]?(?P<subject>[\w.-]{1,100})['\"`]?[^\n]{0,80}?)?heartbeat is stale",
        "The last heartbeat of a worker in the registry is older than 90 s. The executor sends it no new executions, "
        "and since 2026-02-09 sets it to inactive. The process is dead or hangs, cannot reach the database, or is "
        "still starting: a worker syncs its packs before its first heartbeat, which takes minutes.",
        "Check the process and its log. Do not restart a worker that is starting (AT415). Retire a dead one (AT409).",
        kind="worker",
        commands=_WORKERS,
    ),
    rule(
        "NO_WORKER",
        r"[Nn]o active, uncordoned workers\b",
        "The executor has no worker for an execution: every worker is stopped, dead or cordoned, or none has the "
        "runtime that the action needs. The request is rejected and dead-lettered. The execution stays `requested`.",
        "Start a worker, or uncordon one (on Attune's page Runtimes, or POST /api/v1/workers/ID/uncordon to its API). "
        "Then request the executions again: a rejected message does not return.",
        commands=_WORKERS,
    ),
    rule(
        "WORKER_NAME_TAKEN",
        r"duplicate key value violates unique constraint \\*[\"`']?worker_name_key\b"
        r"(?:[^\n]*(?:\n[^\n]*)?Key \(name\)=\((?P<subject>[^)\n]*)\))?",
        "Two processes registered one worker name at the same time (name: {subject}). A name is unique since "
        "2026-02-05: the second process gets no row and does not start. If it starts later, it takes over the row of "
        "the first one, and both consume from one queue.",
        "Give each replica its own name: `ATTUNE_WORKER_NAME` or `worker.name`. The default is `worker-<hostname>`.",
        kind="worker",
        commands=("attune-ops workers", "attune-ops doctor --only AT404"),
    ),
    rule(
        "DATABASE_UNREACHABLE",
        r"error communicating with database[^\n]*|pool timed out while waiting for an open connection|\bPoolTimedOut\b|"
        r"remaining connection slots are reserved[^\n]*|sorry, too many clients already|"
        r"password authentication failed for user[^\n]*",
        "A service cannot use the database (PostgreSQL): it is not reachable, refuses the log-in, or has no free "
        "connection. RabbitMQ is not the cause. A worker that starts cannot register. A running one goes on "
        "consuming, but its heartbeat becomes stale after 90 s.",
        "Check that PostgreSQL runs, and that the service's `database.url` is right. If no connection is free, find "
        "what holds them. Do not restart workers that still consume: they could not register again.",
        commands=("attune-ops doctor --only AT103,AT409,AT410", "attune-ops config show"),
    ),
    rule(
        "TABLE_MISSING",
        r"(?:column \\*\"[^\"\n]{1,100}?\\*\" of )?relation \\*\"(?P<subject>[^\"\\\n]{1,130})\\*\" does not exist",
        "The database that a service uses has no table {subject!r}, or lacks a column of it. The service uses another "
        "database than Attune's, or another schema (`search_path`), or the migrations of its release have not been run "
        "there. RabbitMQ is not the cause. A worker that starts cannot register.",
        "Compare the service's `database.url` and `database.schema` with those of the other services; AT103 names the "
        "schemas of the database that have the table `worker`. If both are right, run the migrations of the release.",
        kind="table",
        commands=("attune-ops doctor --only AT103", "attune-ops config show"),
    ),
)
