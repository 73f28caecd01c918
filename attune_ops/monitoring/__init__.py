"""The same facts over time and for machines."""
