"""The answers of the management API as typed structs, with only the members that are used.

What a version leaves out is None or an empty value; `to_state` converts an answer to `attune_ops.model.snapshot`.
"""
