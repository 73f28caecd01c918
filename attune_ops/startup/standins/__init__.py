"""Stand-ins for Attune's services: processes with their own connections, for the lab and for drills.

`python -m attune_ops.startup.standins SERVICE` reads its `Job` as JSON on stdin, so that no password is in
its arguments or environment; `attune_ops.startup.processes` starts it. It logs what it does (`job`), so that every
message can be accounted for, and stops cleanly on SIGTERM and when its parent process is gone.
"""
