"""The faults of a drill, each with its undo: in services, in the network, or as the drill announces them."""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from attune_ops.drills.relay import Relay
from attune_ops.drills.sampler import DrillLog
from attune_ops.installation.config.settings import Settings
from attune_ops.model.errors import AttuneOpsError
from attune_ops.startup.processes import RunningService


class Faults:
    """Makes faults, and reverts them in reverse order."""

    def __init__(self, log: DrillLog) -> None:
        self._log = log
        self._undos: list[tuple[str, Callable[[], object]]] = []
        self._relays: list[Relay] = []

    def announce(self, text: str, reverted: str = "", undo: Callable[[], object] | None = None) -> None:
        """Logs a fault and registers its undo, which is logged as `reverted`; call it before the fault happens."""
        if undo is not None:
            self._undos.append((reverted, undo))
        self._log.add(text, "fault")

    def kill(self, service: RunningService) -> None:
        """Kills a service (SIGKILL): it cleans up nothing, the kernel closes its connections."""
        self.announce(f"{service.name} is killed (SIGKILL)")
        service.kill()

    def suspend(self, service: RunningService) -> None:
        """Suspends a service (SIGSTOP): its connections stay open and it does not answer. Undo: `revert`."""
        self.announce(f"{service.name} hangs (SIGSTOP)", f"{service.name} resumes (SIGCONT)", service.resume)
        service.suspend()

    def relay(self, settings: Settings) -> tuple[Settings, Relay]:
        """Starts a relay that can drop all packets, and returns settings that connect through it, and the relay."""
        made = Relay((settings.amqp.host, settings.amqp.port))
        self._relays.append(made)
        amqp = msgspec.structs.replace(settings.amqp, host="127.0.0.1", port=made.port)
        return msgspec.structs.replace(settings, amqp=amqp), made

    def cut(self, relay: Relay, name: str) -> None:
        """Drops all packets of a relay, in both directions, without closing connections. Undo: `revert`."""
        self.announce(f"the network of {name} drops every packet", f"the network of {name} is back", relay.restore)
        relay.cut()

    def revert(self) -> None:
        """Undoes the faults in reverse order; a failure is logged and the others are still undone."""
        while self._undos:
            text, undo = self._undos.pop()
            try:
                undo()
            except (AttuneOpsError, OSError) as e:
                text = f"undo failed: {text}: {e}"
            self._log.add(text, "undo")

    def close(self) -> None:
        """Ends the relays."""
        for relay in self._relays:
            relay.close()
