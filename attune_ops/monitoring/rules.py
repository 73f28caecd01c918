"""Alert rules for Prometheus, on the metrics of `serve`."""

from __future__ import annotations

from typing import Any

import msgspec
import yaml

from attune_ops.doctor.checks import all_checks
from attune_ops.model.errors import ConfigError
from attune_ops.monitoring.thresholds import CRASH_ALERT_S

JOB = "attune-ops"  # of the scrape configuration in docs/monitoring.md
SERVED = "http://{{ $labels.instance }}/checks"  # `serve` has the pages of the checks itself
CRITICAL, WARNING = "critical", "warning"
INSTALLATION = "job, instance, env"  # env: of a serve with several environments
BY_WORKER = f"{INSTALLATION}, worker, id"
RANGE = "10m"
UNREAD_BY_DESIGN = "attune_ops_queue_consumer_expected == 0"  # `unless`: a serve without this metric still alerts


class Rule(msgspec.Struct, frozen=True):
    """An alert: what must hold for how long (`hold`), and the check of which the page is the runbook."""

    name: str
    expression: str
    hold: str
    severity: str
    summary: str
    description: str
    code: str | None = None


def _growing(metric: str) -> str:
    return f"(delta({metric}[{RANGE}]) > 100 and deriv({metric}[{RANGE}]) > 0)"


WORKER, ID = "{{ $labels.worker }}", "{{ $labels.id }}"
QUEUE, VALUE = "{{ $labels.queue }}", "{{ $value }}"

RULES = (
    Rule(
        "AttuneWorkerWithoutQueue", 'attune_ops_worker_state{state="no queue"} == 1', "2m", CRITICAL,
        f"worker {WORKER} has no queue",
        f"Worker {WORKER} (id {ID}) is registered and sends heartbeats, and a queue of it is not on the broker: "
        "executions for it are unroutable. Restart the worker; that ends the actions that it runs.",
        "AT401",
    ),
    Rule(
        "AttuneWorkerWithoutConsumer", 'attune_ops_worker_state{state="no consumer"} == 1', "5m", CRITICAL,
        f"worker {WORKER} does not consume",
        f"A queue of worker {WORKER} (id {ID}) has no consumer: its executions wait. Restart the worker; that ends the "
        "actions that it runs.",
        "AT403",
    ),
    Rule(
        "AttuneWorkerHeartbeatStale",
        'attune_ops_worker_state{state="stale"} == 1 or (attune_ops_worker_state{state="crashed"} == 1 '
        f"and on ({BY_WORKER}) attune_ops_worker_heartbeat_age_seconds < {CRASH_ALERT_S})",
        "1m", CRITICAL,
        f"worker {WORKER} sends no heartbeat",
        f"Worker {WORKER} (id {ID}) is {{{{ $labels.state }}}}: its heartbeat stopped. Executions that are assigned to "
        "it wait or are abandoned.",
        "AT409",
    ),
    Rule(
        "AttuneAllWorkersCordoned",
        "attune_ops_workers_cordoned == attune_ops_workers_live and attune_ops_workers_live > 0", "5m", CRITICAL,
        "all live workers are cordoned",
        f"All {VALUE} live workers are cordoned: no execution is scheduled. Uncordon a worker "
        "on the page Runtimes of Attune's web interface.",
        "AT416",
    ),
    Rule(
        "AttuneNoLiveWorker",
        f"(attune_ops_workers_live == 0 and on ({INSTALLATION}) "
        'attune_ops_workers{state=~"crashed|stale|error|set inactive"} > 0) '
        f'unless on ({INSTALLATION}) attune_ops_workers{{state="starting"}} > 0',
        "5m", CRITICAL,
        "no worker is live",
        "No worker that has queues is registered as running with a fresh heartbeat, and not all were stopped cleanly: "
        "no execution is scheduled. Start a worker, or restart one that was set inactive, then request the executions "
        "again that were requested meanwhile.",
        "AT416",
    ),
    Rule(
        "AttuneQueueMissing", "attune_ops_queue_present == 0", "2m", CRITICAL,
        f"queue {QUEUE} is missing",
        f"The queue {QUEUE} of the topology is not on the broker: its messages are unroutable.",
        "AT202",
    ),
    Rule(
        "AttuneQueueWithoutConsumer",
        f"attune_ops_queue_consumers == 0 and attune_ops_queue_messages_ready > 0 unless {UNREAD_BY_DESIGN}", "5m",
        WARNING,
        f"queue {QUEUE} has messages and no consumer",
        f"Messages wait in {QUEUE}, which has no consumer. Start the service that consumes from it.",
        "AT501",
    ),
    Rule(
        "AttuneQueueGrowing",
        f"({_growing('attune_ops_queue_messages_ready')} unless {UNREAD_BY_DESIGN}) or "
        f"{_growing('attune_ops_worker_messages_ready')}", "5m", WARNING,
        f"queue {QUEUE}{{{{ with $labels.worker }}}}of worker {{{{ . }}}}{{{{ end }}}} grows",
        f"It grew by {{{{ printf \"%.0f\" $value }}}} messages in {RANGE}. Add consumers, or find out why they are "
        "slow.",
        "AT506",
    ),
    Rule(
        "AttuneOrphanedQueueWithBacklog", "attune_ops_orphaned_queue_messages > 0", "5m", WARNING,
        f"orphaned queues hold {VALUE} messages",
        "No registered live worker owns these queues, so nobody consumes the messages. attune-ops orphans lists them.",
        "AT407",
    ),
    Rule(
        "AttuneDeadLettersLost",
        f"attune_ops_dead_letters_lost > 0 and on ({INSTALLATION}) attune_ops_queues_losing_dead_letters > 0", "5m",
        WARNING,
        f"{VALUE} dead letters are lost",
        f"The broker dead-lettered {VALUE} messages since it started that no queue received, and no binding routes the "
        "next ones. attune-ops doctor --only AT305 prints the policy that routes them.",
        "AT308",
    ),
    Rule(
        "AttuneDeadLettersPilingUp", "attune_ops_dead_letter_queue_messages > 0", "10m", WARNING,
        f"{QUEUE} holds {VALUE} dead letters",
        f"Messages were rejected, expired or dropped by a length limit, and wait in {QUEUE}. Peek at them, then "
        "restore or purge them.",
        "AT510",
    ),
    Rule(
        "AttuneUnroutablePublishes", f"increase(attune_ops_unroutable_messages_total[{RANGE}]) > 0", "0m", WARNING,
        "unroutable messages: {{ $labels.outcome }}",
        f"{{{{ printf \"%.0f\" $value }}}} messages in {RANGE} matched no binding. The counter includes all virtual "
        "hosts of the broker. attune-ops doctor --only routes finds exchange and routing key.",
        "AT509",
    ),
    Rule(
        "AttuneBrokerAlarm", "attune_ops_broker_alarms > 0", "1m", CRITICAL,
        "a memory or disk alarm blocks publishers",
        f"{VALUE} resource alarms are in effect on the broker: publishers are blocked.",
        "AT112",
    ),
    Rule(
        "AttuneReadingFailed",
        "(attune_ops_reading_success == 0 unless attune_ops_reading_broker_success == 1) "
        "or (attune_ops_reading_age_seconds > 300 "
        "unless attune_ops_reading_age_seconds <= 3 * attune_ops_reading_interval_seconds)", "2m", CRITICAL,
        "attune-ops serve cannot read the installation",
        "Broker or management API do not answer. The other metrics show the last reading of the broker. /readyz of "
        "{{ $labels.instance }} has the reason.",
        "AT102",
    ),
    Rule(
        "AttuneRegistryReadingFailed", "attune_ops_reading_success == 0 and attune_ops_reading_broker_success == 1",
        "2m", CRITICAL,
        "attune-ops serve cannot read the registry",
        "The worker registry does not answer. The metrics of the broker are current; those of workers and orphaned "
        "queues have no samples, so no alert about them can fire. /readyz of {{ $labels.instance }} has the reason.",
        "AT103",
    ),
    Rule(
        "AttuneExporterGone", 'up{job="JOB"} == 0 or absent(up{job="JOB"})', "2m", CRITICAL,
        "attune-ops serve is not scraped",
        "Prometheus cannot scrape attune-ops serve, or has no such target: no other alert of Attune can fire.",
    ),
)  # fmt: skip

_ELSE = Rule(
    "AttuneOtherError",
    f'attune_ops_findings{{severity="error", code!~"{"|".join(sorted({r.code for r in RULES if r.code}))}"}} > 0',
    "5m", WARNING,
    f"attune-ops doctor reports {{{{ $labels.code }}}}",  # noqa: F541 - braces as in the others
    f"{VALUE} findings of severity error, which no other alert is about. attune-ops doctor prints cause and fix.",
)  # fmt: skip


def rules(*, job: str = JOB, runbook_url: str | None = None) -> tuple[dict[str, Any], ...]:
    """The alert rules as data: `job` is that of the scrape configuration.

    `runbook_url` is the address of docs/checks.md as it is published; without it, the pages that `serve` has itself.
    Raises `ConfigError` for a name of a job that cannot stand in a query.
    """
    if not job or any(c in job for c in '"\\\n'):
        raise ConfigError(f"not a name of a job: {job!r}")
    pages = {c.code: c.anchor for c in all_checks()}
    base = SERVED if runbook_url is None else runbook_url.partition("#")[0]
    return tuple(
        {
            "alert": r.name,
            "expr": r.expression.replace("JOB", job),
            "for": r.hold,
            "labels": {"severity": r.severity},
            "annotations": {
                "summary": r.summary,
                "description": r.description,
                "runbook_url": f"{base}#{pages[r.code]}" if r.code else base,
            },
        }
        for r in (*RULES, _ELSE)
    )


def rules_file(*, job: str = JOB, runbook_url: str | None = None) -> str:
    """The rules as a rule file of Prometheus."""
    made = {"groups": [{"name": "attune-ops", "rules": [*rules(job=job, runbook_url=runbook_url)]}]}
    return yaml.safe_dump(made, sort_keys=False, width=120, allow_unicode=True)
