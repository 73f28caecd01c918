"""The methods of `Ops` that clean up."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING

from attune_ops.ops.installation_facts import InstallationFacts

if TYPE_CHECKING:
    from attune_ops.cleanup.candidates import ReapResult
    from attune_ops.messages.facade import Messages
    from attune_ops.model.table import Table


class CleanupOperations(InstallationFacts):
    """What dead workers and stuck clients leave behind, and messages."""

    @property
    def messages(self) -> Messages:
        """Operations on messages: `peek`, `drain`, `restore`, `move`.

        >>> ops.messages.peek("attune.executions.queue").ready
        0
        """
        from attune_ops.messages.facade import Messages

        return Messages(self.settings)

    def reap(
        self,
        pattern: str = "*",
        *,
        grace: timedelta = timedelta(minutes=10),
        save_to: str | Path | None = None,
        apply: bool = False,
        confirm: str | None = None,
        force: bool = False,
    ) -> ReapResult:
        """Deletes worker queues orphaned in two runs `grace` apart; without `apply` a dry run; see `cleanup.reap`.

        >>> ops.reap().candidates  # a dry run
        ()
        """
        from attune_ops.cleanup.reap import reap

        return reap(self.settings, pattern, grace=grace, save_to=save_to, apply=apply, confirm=confirm, force=force)

    def retire(self, pattern: str = "*", *, apply: bool = False, confirm: str | None = None) -> Table:
        """Sets dead workers to inactive in the registry; without `apply` a dry run; see `cleanup.retire`.

        >>> [worker["name"] for worker in ops.retire() if worker["verdict"] == "retires"]  # a dry run
        []
        """
        from attune_ops.cleanup.retire import retire

        return retire(self.settings, pattern, apply=apply, confirm=confirm)

    def close_connection(self, name: str, *, apply: bool = False, confirm: str | None = None) -> Table:
        """Closes a client's connection; without `apply` a dry run; see `cleanup.close_connection`.

        >>> name = ops.connections()["name"][0]
        >>> ops.close_connection(name).column("verdict")  # a dry run
        ('closes',)
        """
        from attune_ops.cleanup.close_connection import close_connection

        return close_connection(self.settings, name, apply=apply, confirm=confirm)
