"""A policy that lets the broker delete a worker's queue after some time without a consumer."""

from __future__ import annotations

from attune_ops.drills.remedies import Remedy, policy
from attune_ops.drills.remedies.durable import durable

# Short, so that a drill sees it; in operation it is hours.
EXPIRES_MS = 3000

remedy = Remedy(
    "expires-policy",
    f"worker queues stay without a consumer, and a policy deletes them after {EXPIRES_MS / 1000:g} s unused",
    durable,
    (policy("worker-queues-expire", r"^worker\.", "queues", {"expires": EXPIRES_MS}),),
)
