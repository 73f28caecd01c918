"""The columns of the recorded history."""

from __future__ import annotations

from attune_ops.monitoring.arrow import pa

MADE_BY = {b"attune_ops": b"history/1"}

_TIME = pa.timestamp("us", "UTC")
SCHEMA = pa.schema(
    [
        ("time", _TIME),  # of the reading
        ("recorder", pa.string()),  # host and number of the recorder
        ("kind", pa.string()),  # reading, queue, worker, node
        ("name", pa.string()),  # of the queue, worker or node
        ("worker_id", pa.int64()),  # of a worker, and of the worker that owns a queue
        # reading: ok, partial, failed; worker: as in `workers`; queue, node: as the broker reports
        ("state", pa.string()),
        ("reason", pa.string()),  # why a reading failed, or what it lacks
        ("interval_s", pa.float64()),  # reading: to the next one
        ("messages", pa.int64()),
        ("ready", pa.int64()),
        ("unacked", pa.int64()),
        ("consumers", pa.int64()),
        ("bytes", pa.int64()),  # of the messages in a queue
        ("publish_rate", pa.float64()),  # messages/s
        ("deliver_rate", pa.float64()),
        ("ack_rate", pa.float64()),
        ("max_length", pa.int64()),  # the effective limits of a queue
        ("max_bytes", pa.int64()),
        ("declared", pa.bool_()),  # worker: all its queues are on the broker
        ("bound", pa.bool_()),
        ("consumed", pa.bool_()),
        ("registered", _TIME),  # worker: when its row was made
        ("last_heartbeat", _TIME),
        ("disk_free", pa.int64()),  # node, bytes
        ("disk_free_limit", pa.int64()),
        ("memory_used", pa.int64()),
        ("memory_limit", pa.int64()),
    ],
    metadata=MADE_BY,
)
