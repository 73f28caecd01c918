"""prometheus-client, for the modules that make metrics; without it one clear error."""

from __future__ import annotations

from attune_ops.model.errors import ConfigError

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
except ImportError:
    raise ConfigError("metrics need prometheus-client: pip install 'attune-ops[monitoring]'") from None

__all__ = [
    "CONTENT_TYPE_LATEST", "CounterMetricFamily", "GaugeMetricFamily", "InfoMetricFamily", "Metric", "generate_latest",
]  # fmt: skip
