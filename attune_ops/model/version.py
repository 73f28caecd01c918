"""The release of this toolkit, for every room."""

__version__ = "0.1.0"
