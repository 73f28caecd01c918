"""A policy that deletes unused worker queues."""

from __future__ import annotations

from attune_ops.drills.remedies import Remedy, policy
from attune_ops.drills.remedies.durable import durable

# Short for the drill; in operation it is hours.
EXPIRES_MS = 3000

remedy = Remedy(
    "expires-policy",
    f"worker queues are durable, and a policy deletes them after {EXPIRES_MS / 1000:g} s without use",
    durable,
    (policy("worker-queues-expire", r"^worker\.", "queues", {"expires": EXPIRES_MS}),),
)
