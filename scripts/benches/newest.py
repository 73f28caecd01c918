"""The doctor on release 0.6: 10,000 workers have 40,000 queues."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.ops import Ops
from benches import Result, Site
from benches.doctor import WORKERS, Answers, settled, whole, workers


def measure(site: Site) -> Iterator[Result]:
    """Every worker consumes from its four queues."""
    settings = site.settings("attune-0.6", "newest")
    with workers(settings, WORKERS):
        ops = Ops(settings)
        settled(ops)
        yield from whole(site, ops, Answers(settings, ops.doctor), "attune-0.6 with 10,000 workers, 40,000 queues")
