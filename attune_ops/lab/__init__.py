"""A private RabbitMQ on loopback for tests, drills and trying things out.

`up` starts it in a folder of its own below the user's state folder, with a node name, ports, an epmd and a
password of its own; `down` stops exactly what `up` started and removes the folder. Each lab has a name, so that tests
and drills make their own.
"""

from __future__ import annotations

from attune_ops.lab.control import down, status, up
from attune_ops.lab.lab_nodes import Lab

__all__ = ["Lab", "down", "status", "up"]
