"""Messages without a broker: what one holds, which are meant, whether one may be sent again, and their file.

Everything here is pure; `attune_ops.actions.messages` takes them from queues and publishes them.
"""
