"""The broker's own counters of dead letters, which only its Prometheus endpoint has (plugin rabbitmq_prometheus)."""

from __future__ import annotations

import re
from typing import NamedTuple

from attune_ops.installation.config.settings import Endpoint, Tls
from attune_ops.installation.light_http import Connection
from attune_ops.model import requests_log
from attune_ops.model.errors import SourceError

PORT = 15692
PATIENCE_S = 2.0  # a firewall that drops the packets must not hold up the rest

# rabbitmq_global_messages_dead_lettered_rejected_total{queue_type="…",dead_letter_strategy="at_most_once"} 3
_COUNTER = re.compile(
    r"^rabbitmq_global_messages_dead_lettered_(expired|rejected|maxlen|delivery_limit)_total"
    r"\{[^}\n]*dead_letter_strategy=\"(\w+)\"[^}\n]*\} ([0-9.e+]+)$",
    re.MULTILINE,
)
NO_EXCHANGE = "disabled"  # the strategy of a queue without a dead-letter exchange, or with a missing one


class Counters(NamedTuple):
    """Messages since the node started, by reason, of all virtual hosts.

    `dead_lettered` has those of queues without a (present) dead-letter exchange as "disabled", `removed` by the reason
    as well: these messages are gone.
    """

    dead_lettered: dict[str, int]
    removed: dict[str, int]


def dead_lettered(endpoint: Endpoint, timeout: float, tls: Tls | None = None) -> Counters:
    """Reads how many messages were dead-lettered, or removed without a dead-letter exchange.

    Needs no credentials, changes nothing. Raises `SourceError` where the endpoint does not answer, or has no such
    counters (before RabbitMQ 3.10).
    """
    url = f"{endpoint.scheme}://{endpoint.address}{endpoint.path}"
    connection = Connection(
        endpoint.host, endpoint.port, min(timeout, PATIENCE_S), (tls or Tls()) if endpoint.tls else None
    )
    try:
        with requests_log.reported(f"GET {endpoint.path}"):
            answer = connection.request("GET", endpoint.path, {})
    except OSError as e:
        reason = e.strerror or str(e) or type(e).__name__
        raise SourceError(f"Prometheus endpoint {url}: {reason}; enable rabbitmq_prometheus") from None
    finally:
        connection.close()
    if answer.status != 200:
        raise SourceError(f"Prometheus endpoint {url}: answered {answer.status}")
    found: dict[str, int] = {}
    removed: dict[str, int] = {}
    for reason, strategy, number in _COUNTER.findall(answer.body.decode("utf-8", "replace")):
        key = NO_EXCHANGE if strategy == NO_EXCHANGE else reason
        found[key] = found.get(key, 0) + int(float(number))
        removed[reason] = removed.get(reason, 0) + int(float(number))
    if not found:
        raise SourceError(f"Prometheus endpoint {url}: has no counters of dead letters; RabbitMQ 3.10 and later have")
    return Counters(found, removed)
