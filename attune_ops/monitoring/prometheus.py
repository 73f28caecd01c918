"""prometheus-client, for the modules that make metrics; without it one clear error."""

from __future__ import annotations

from attune_ops.model.errors import ConfigError, install

try:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, InfoMetricFamily, Metric
    from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
except ImportError:
    raise ConfigError(f"metrics need prometheus-client: {install('monitoring')}") from None

__all__ = [
    "CONTENT_TYPE_LATEST", "CounterMetricFamily", "GaugeMetricFamily", "InfoMetricFamily", "Metric", "generate_latest",
]  # fmt: skip
