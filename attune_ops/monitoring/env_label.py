"""The metrics of several environments: the same families, with the label `env`."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from attune_ops.doctor.reports import Reports
from attune_ops.monitoring.metrics import families
from attune_ops.monitoring.prometheus import GaugeMetricFamily, Metric

HEAD = re.compile(rb"^(?=# HELP )", re.MULTILINE)  # no other line begins so: a label's value has no line break


def with_env(made: Iterable[Metric], env: str) -> Iterator[Metric]:
    """The metrics with the label `env` on each sample."""
    for metric in made:
        metric.samples = [s._replace(labels={"env": env, **s.labels}) for s in metric.samples]
        yield metric


def families_of_all(reports: Reports) -> Iterator[Metric]:
    """The metrics of each report, and which environments have one."""
    diagnosed = GaugeMetricFamily(
        "attune_ops_environment_diagnosed", "1: the environment could be diagnosed.", labels=("env",)
    )
    merged: dict[str, Metric] = {diagnosed.name: diagnosed}
    for e in reports.environments:
        diagnosed.add_metric([e.env], e.report is not None and not e.silent)
        for metric in with_env(families(e.report), e.env) if e.report is not None else ():
            merged.setdefault(metric.name, metric)
            if merged[metric.name] is not metric:
                merged[metric.name].samples += metric.samples
    yield from merged.values()


def merged(texts: Iterable[bytes]) -> bytes:
    """One text of those of several environments: the head of a metric stands once, before the samples of all."""
    found: dict[bytes, list[bytes]] = {}
    for text in texts:
        for family in HEAD.split(text):
            name = family.split(b" ", 3)[2:3]
            if name:
                several = found.setdefault(name[0], [])
                several.append(_samples(family) if several else family)
    return b"".join(text for several in found.values() for text in several)


def _samples(text: bytes) -> bytes:
    while text.startswith(b"#"):
        text = text.partition(b"\n")[2]
    return text
