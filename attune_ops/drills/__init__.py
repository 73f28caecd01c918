"""Failover drills: a failure made on purpose, and every message accounted for.

One file a drill in `scenarios/`: a generator marked with `@drill`, which takes a `Context`, makes faults through it
(each undo is registered before its fault) and yields what it expects, each with a time limit. The runner polls, undoes
in reverse order whatever happens, accounts for every message and writes the journal. A second run with one of the
`remedies` shows what a mitigation changes.
"""
