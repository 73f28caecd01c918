"""The command line: one file a command, found by convention.

A file `NAME.py` here without a leading underscore is the command `NAME`; its `command` is a click command
made with `attune_ops.cli._base`. Nothing else needs an edit to add one.
"""
