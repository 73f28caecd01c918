"""A process that drains, restores or moves and may be killed at any moment: `python -m tests.live.messages.killable`.

It has everything loaded and says `ready`; told what to do on a line of standard input, as JSON, it does it and prints
what came of it as JSON. So a test can kill it in the midst of its work, not of its start.
"""

from __future__ import annotations

import json
import sys
from typing import Any

import attune_ops
from attune_ops.messages import drain, move, peek, raw_amqp, restore
from attune_ops.model.errors import AttuneOpsError

LOADED = (drain, move, peek, restore, raw_amqp)


def main() -> int:
    ops = attune_ops.connect(**json.loads(sys.argv[1]))
    _say("ready")
    order: dict[str, Any] = json.loads(sys.stdin.readline())
    try:
        done = getattr(ops.messages, order.pop("what"))(*order.pop("arguments"), apply=True, **order)
    except AttuneOpsError as e:
        _say(json.dumps({"error": str(e)}))
        return 3
    counts = {o.outcome: done.count(o.outcome) for o in done.outcomes}
    _say(json.dumps({"counts": counts, "notes": done.notes}))
    return 0


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    sys.exit(main())
