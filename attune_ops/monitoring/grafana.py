"""A dashboard for Grafana, on the metrics of `serve`.

The classic JSON model, which every Grafana since 9 imports. The data source is a variable of the dashboard, so that
nothing has to be edited: Grafana offers the Prometheus data sources that it has. A `serve` of several environments has
the label `env`: a variable chooses among them, and each legend names it. Without that label it is empty.
"""

from __future__ import annotations

from typing import Any, NamedTuple

SOURCE = {"type": "prometheus", "uid": "${datasource}"}
HERE = '{job=~"$job", instance=~"$instance", env=~"$env"}'
WIDTH = 24  # of Grafana's grid


def _here(label: str, value: str) -> str:
    return f'{HERE[:-1]}, {label}="{value}"}}'


class Panel(NamedTuple):
    """A panel: its queries with their legends, its type, and its size in the grid."""

    title: str
    queries: tuple[tuple[str, str], ...]
    kind: str = "timeseries"
    width: int = 12
    height: int = 8
    unit: str = "short"
    description: str = ""
    red_from: float | None = None  # the value from which a number is red
    red_below: float | None = None


PANELS = (
    Panel("Reading", ((f"attune_ops_reading_success{HERE}", ""),), "stat", 4, 4, "bool_yes_no",
          "Whether the last reading succeeded.", red_below=1),
    Panel("Age of the reading", ((f"attune_ops_reading_age_seconds{HERE}", ""),), "stat", 4, 4, "s",
          "Of what all other panels show.", red_from=120),
    Panel("Errors", ((f"attune_ops_severity_findings{_here('severity', 'error')}", ""),), "stat", 4, 4, red_from=1),
    Panel("Warnings", ((f"attune_ops_severity_findings{_here('severity', 'warning')}", ""),), "stat", 4, 4),
    Panel("Workers that are ready", ((f"attune_ops_workers{_here('state', 'ready')}", ""),), "stat", 4, 4, red_below=1),
    Panel("Messages in orphaned queues", ((f"attune_ops_orphaned_queue_messages{HERE}", ""),), "stat", 4, 4,
          red_from=1),
    Panel("Workers by state", ((f"attune_ops_workers{HERE}", "{{state}}"),
                               (f"attune_ops_workers_cordoned{HERE}", "cordoned"))),
    Panel("Alerts", (('ALERTS{alertname=~"Attune.*", alertstate="firing", env=~"$env"}',
                       "{{alertname}} {{worker}}{{queue}}"),)),
    Panel("Ready messages, queues of services", ((f"attune_ops_queue_messages_ready{HERE}", "{{queue}}"),)),
    Panel("Ready messages, ten deepest workers",
          ((f"topk(10, attune_ops_worker_messages_ready{HERE})", "{{worker}}"),)),
    Panel("Unacknowledged messages",
          ((f"attune_ops_queue_messages_unacknowledged{HERE}", "{{queue}}"),
           (f"topk(10, attune_ops_worker_messages_unacknowledged{HERE})", "worker {{worker}}"))),
    Panel("Consumers, queues of services", ((f"attune_ops_queue_consumers{HERE}", "{{queue}}"),)),
    Panel("Oldest heartbeats", ((f"topk(10, attune_ops_worker_heartbeat_age_seconds{HERE})", "{{worker}}"),), unit="s"),
    Panel("Orphaned queues", ((f"attune_ops_orphaned_queues{HERE}", "queues"),
                              (f"attune_ops_orphaned_queue_messages{HERE}", "messages"))),
    Panel("Dead letters", ((f"attune_ops_dead_letters_lost{HERE}", "lost"),
                           (f"attune_ops_dead_letter_queue_messages{HERE}", "{{queue}}"),
                           (f"rate(attune_ops_dead_lettered_messages_total{HERE}[$__rate_interval])", "{{reason}}/s"))),
    Panel("Unroutable messages per second",
          ((f"rate(attune_ops_unroutable_messages_total{HERE}[$__rate_interval])", "{{outcome}}"),),
          description="All virtual hosts of the broker."),
    Panel("Workers that are not ready", ((f"attune_ops_worker_ready{HERE} == 0", "{{worker}}"),), "table"),
    Panel("Findings", ((f"sort_desc(attune_ops_findings{HERE})", "{{code}} {{severity}}"),), "table"),
    Panel("Duration of a reading", ((f"attune_ops_reading_duration_seconds{HERE}", "duration"),), unit="s", height=6),
    Panel("Readings per second", ((f"rate(attune_ops_readings_total{HERE}[$__rate_interval])", "readings"),
                                  (f"rate(attune_ops_reading_failures_total{HERE}[$__rate_interval])", "failed")),
          height=6),
)  # fmt: skip


def dashboard() -> dict[str, Any]:
    """The dashboard in Grafana's JSON model."""
    panels, x, y, row = [], 0, 0, 0
    for number, panel in enumerate(PANELS, 1):
        if x + panel.width > WIDTH:
            x, y, row = 0, y + row, 0
        panels.append(_panel(panel, number, x, y))
        x, row = x + panel.width, max(row, panel.height)
    return {
        "id": None,
        "uid": "attune-ops",
        "title": "Attune on RabbitMQ",
        "description": "The metrics of attune-ops serve.",
        "tags": ["attune", "rabbitmq"],
        "schemaVersion": 39,
        "version": 1,
        "editable": True,
        "graphTooltip": 1,
        "timezone": "browser",
        "time": {"from": "now-3h", "to": "now"},
        "refresh": "30s",
        "annotations": {"list": []},
        "links": [],
        "templating": {
            "list": [
                _source(),
                _variable("job"),
                _variable("instance", 'job=~"$job"'),
                _variable("env", 'job=~"$job", instance=~"$instance"'),
            ]
        },
        "panels": panels,
    }


def _source() -> dict[str, Any]:
    return {"name": "datasource", "label": "Data source", "type": "datasource", "query": "prometheus", "regex": "",
            "hide": 0, "includeAll": False, "multi": False, "refresh": 1, "options": [], "current": {}}  # fmt: skip


def _variable(label: str, among: str = "") -> dict[str, Any]:
    query = f"label_values(attune_ops_reading_success{{{among}}}, {label})"
    return {"name": label, "label": label.capitalize(), "type": "query", "datasource": SOURCE, "definition": query,
            "query": {"query": query, "refId": label}, "refresh": 2, "sort": 1, "hide": 0, "multi": True,
            "includeAll": True, "allValue": ".*", "regex": "", "options": [], "current": {}}  # fmt: skip


def _panel(panel: Panel, number: int, x: int, y: int) -> dict[str, Any]:
    instant = panel.kind in ("stat", "table")
    targets = [
        {"refId": chr(ord("A") + i), "datasource": SOURCE, "expr": expression,
         "legendFormat": f"{legend} {{{{env}}}}".lstrip(), "editorMode": "code",
         "instant": instant, "range": not instant,
         "format": "table" if panel.kind == "table" else "time_series"}
        for i, (expression, legend) in enumerate(panel.queries)
    ]  # fmt: skip
    steps: list[dict[str, Any]] = [{"color": "text", "value": None}]
    if panel.red_from is not None:
        steps = [{"color": "green", "value": None}, {"color": "red", "value": panel.red_from}]
    if panel.red_below is not None:
        steps = [{"color": "red", "value": None}, {"color": "green", "value": panel.red_below}]
    made: dict[str, Any] = {
        "id": number, "type": panel.kind, "title": panel.title, "description": panel.description, "datasource": SOURCE,
        "gridPos": {"x": x, "y": y, "w": panel.width, "h": panel.height}, "targets": targets,
        "fieldConfig": {"defaults": {"unit": panel.unit, "min": 0,
                                     "thresholds": {"mode": "absolute", "steps": steps}}, "overrides": []},
        "options": {},
    }  # fmt: skip
    if panel.kind == "stat":
        made["options"] = {"reduceOptions": {"calcs": ["lastNotNull"], "fields": "", "values": False},
                           "colorMode": "background", "graphMode": "none", "textMode": "auto"}  # fmt: skip
    if panel.kind == "table":
        made["transformations"] = [
            {"id": "organize", "options": {"excludeByName": {"Time": True, "__name__": True, "job": True}}}
        ]
    return made
