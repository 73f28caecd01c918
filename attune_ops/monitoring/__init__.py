"""The facts over time: the recorded history of the queues."""
