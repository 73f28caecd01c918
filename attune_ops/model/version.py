"""The release of this toolkit: here, since every room may say it."""

__version__ = "0.1.0"
