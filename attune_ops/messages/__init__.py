"""Peek, drain, restore and move messages; no message is lost, even if the process is killed.

The rule: a message is acknowledged to its queue only when it is safe elsewhere, on disk (fsync) or in another queue
(publisher confirm).
"""
