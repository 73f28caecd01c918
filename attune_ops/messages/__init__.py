"""Peek, drain, restore and move messages so that none is ever lost, whenever the process is killed.

The rule behind all of it: a message is acknowledged to the queue it came from only when it is safe elsewhere,
on disk (fsync) or in another queue (publisher confirm).
"""
