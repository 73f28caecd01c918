"""The tables of `Ops`."""

from __future__ import annotations

from typing import TYPE_CHECKING, Unpack

from attune_ops.model.facts import Facts
from attune_ops.ops.installation_facts import InstallationFacts

if TYPE_CHECKING:
    from attune_ops.inventory import TableFilters
    from attune_ops.model.table import Table
    from attune_ops.monitoring.history_operations import HistoryOperations


class Inspections(InstallationFacts):
    """The tables, snapshots and the history of an installation."""

    def queues(self, **filters: Unpack[TableFilters]) -> Table:
        """All queues: depth, consumers, owner; columns: `attune_ops/inventory/queues.py`.

        >>> for queue in ops.queues(pattern="worker.*", sort=("name",)):
        ...     print(queue["name"], queue["messages"])
        worker.1.executions 0
        worker.2.executions 0
        """
        return self._inspect("queues", **filters)

    def bindings(self, **filters: Unpack[TableFilters]) -> Table:
        """All bindings, and whether the topology has them; columns: `attune_ops/inventory/bindings.py`.

        >>> len(ops.bindings(pattern="worker.1.*"))
        1
        """
        return self._inspect("bindings", **filters)

    def exchanges(self, **filters: Unpack[TableFilters]) -> Table:
        """All exchanges; columns: `attune_ops/inventory/exchanges.py`.

        >>> ops.exchanges(pattern="attune.executions")["type"]
        ('direct',)
        """
        return self._inspect("exchanges", **filters)

    def consumers(self, **filters: Unpack[TableFilters]) -> Table:
        """All consumers and their connections; columns: `attune_ops/inventory/consumers.py`.

        >>> sorted(set(ops.consumers(pattern="worker.*")["queue"]))
        ['worker.1.executions', 'worker.2.executions']
        """
        return self._inspect("consumers", **filters)

    def connections(self, **filters: Unpack[TableFilters]) -> Table:
        """All connections, what they consume and hold; columns: `attune_ops/inventory/connections.py`.

        >>> len(ops.connections(sort=("-unacked",), limit=2))
        2
        """
        return self._inspect("connections", **filters)

    def workers(self, **filters: Unpack[TableFilters]) -> Table:
        """The registered workers and their queues on the broker; columns: `attune_ops/inventory/workers.py`.

        >>> ops.workers(columns=("name", "state"))  # doctest: +ELLIPSIS
        name  state
        w1    ready
        w2    ready
        ...
        """
        return self._inspect("workers", **filters)

    def orphans(self, **filters: Unpack[TableFilters]) -> Table:
        """Orphaned queues, and live workers without queue; columns: `attune_ops/inventory/orphans.py`.

        >>> if not ops.orphans():
        ...     print("no orphaned queues")
        no orphaned queues
        """
        return self._inspect("orphans", **filters)

    def _inspect(self, name: str, **filters: Unpack[TableFilters]) -> Table:
        from attune_ops.inventory import inspect

        return inspect(self.settings, name, **filters)

    def snapshot(self, file: str | None = None, *, samples: int = 1, replace: bool = False) -> Facts:
        """Reads all facts and, with `file`, writes them to it, compressed and without secrets.

        `replace` overwrites an existing file. `model.snapshot_file.load_facts` reads it again. Needs tag monitoring,
        changes nothing on the installation. Raises `ConfigError` if the file cannot be written.

        >>> before = ops.snapshot("before.json.gz")
        >>> before.topology.name
        'attune-2026-01'
        """
        from attune_ops.model.snapshot_file import save_facts

        facts = self.facts(samples=samples)
        if file is not None:
            save_facts(facts, file, replace=replace, secrets=self.settings.secrets)
        return facts

    def changes(self, before: str, after: str | None = None, *, vhost: str | None = None) -> Table:
        """What was added, removed and changed between two files, or a file and now; of all virtual hosts, or one.

        Changes nothing. Raises `ConfigError`, `SourceError`.

        >>> _ = ops.snapshot("start.json.gz")
        >>> [change["name"] for change in ops.changes("start.json.gz") if change["object"] == "queue"]
        []
        """
        from attune_ops.inventory.snapshot_diff import file_changes

        return file_changes(before, self.facts() if after is None else after, vhost)

    @property
    def history(self) -> HistoryOperations:
        """Readings over time: `record`, `show`, `compare`, `story`, `prune`. Needs the extra `history`.

        >>> ops.history.record("readings", seconds=0)
        1
        """
        from attune_ops.monitoring.history_operations import HistoryOperations

        return HistoryOperations(self.settings)
