"""What dead workers leave behind: orphaned queues are reaped, dead workers are retired in the registry."""
