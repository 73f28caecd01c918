"""The private broker: a throw-away RabbitMQ of one's own on loopback.

`up` starts it in a folder of its own below the user's state folder, with a node name, ports, an epmd and a
password that no other broker shares; `down` ends exactly what `up` started and removes the folder.
Each lab has a name, so that tests and drills make their own beside the user's.
"""

from __future__ import annotations

from attune_ops.lab.control import Lab, down, up
from attune_ops.lab.status import status

__all__ = ["Lab", "down", "status", "up"]
