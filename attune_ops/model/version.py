"""The release of this toolkit, for every room."""

__version__ = "0.2.0"
