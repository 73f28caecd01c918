"""Stand-ins for Attune's services: real processes with real connections, for the lab and for drills.

`python -m attune_ops.startup.standins SERVICE` reads its `Job` as JSON on stdin, so that no password is in
its arguments or environment; `attune_ops.startup.processes` starts it. It writes what it does as JSON lines
(`journal`), so that every message can be accounted for afterwards, and stops cleanly on SIGTERM and when
whoever started it is gone.
"""
