"""Jupyter: the live dashboard and the runbooks."""
