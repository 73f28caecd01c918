"""The doctor on release 0.6: 10,000 workers have 40,000 queues."""

from __future__ import annotations

from collections.abc import Iterator

from attune_ops.ops import Ops
from benches import Result, Site
from benches.doctor import WORKERS, Answers, settled, whole, without_consumers, workers

VHOST = "newest"  # the other benchmarks have exchanges of the same names and of other types
MANY = "attune-0.6, 10,000 workers, 40,000 queues"


def measure(site: Site) -> Iterator[Result]:
    """Every worker consumes from its four queues, and then, since these are durable, none does."""
    site.lab.ctl("add_vhost", VHOST)
    site.lab.ctl("set_permissions", "-p", VHOST, site.lab.state.user, ".*", ".*", ".*")
    settings = site.settings("attune-0.6", "newest", vhost=VHOST)
    try:
        with workers(settings, WORKERS):
            ops = Ops(settings)
            settled(ops)
            yield from whole(site, ops, Answers(settings, ops.doctor), MANY)
        yield from whole(site, ops, without_consumers(ops, settings), f"{MANY}, none consumes")
    finally:
        site.lab.ctl("delete_vhost", VHOST, timeout=600)
