"""The seven steps of a service's start-up, its clean stop, and stand-ins for Attune's services."""
