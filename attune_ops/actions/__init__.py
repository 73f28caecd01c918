"""Everything that changes a broker or a registry: the only place that writes.

Each function says what it changes and how to undo it. `broker` has the single writes, `setup` and `sequence`
make a start-up of them, `registry` writes the worker table, `services` are the stand-in processes.
"""
