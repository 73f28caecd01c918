"""The topology methods of `Ops`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from attune_ops.model.facts import Facts
from attune_ops.ops.installation_facts import InstallationFacts

if TYPE_CHECKING:
    from attune_ops.model.graph import Graph
    from attune_ops.model.table import Table
    from attune_ops.topology.drift import ApplyResult, TopologyDiff
    from attune_ops.topology.policies.apply_policy import PolicyOperations


class TopologyOperations(InstallationFacts):
    """The desired topology against the broker, bindings and policies."""

    def topology_diff(self, facts: Facts | None = None) -> TopologyDiff:
        """Compares the topology with the broker, or with `facts`.

        Reads broker and registry, needs tag management, changes nothing. Raises `SourceError`.

        >>> diff = ops.topology_diff()
        >>> bool(diff.drift), diff.compared > 10
        (False, True)
        """
        from attune_ops.topology.apply import compare
        from attune_ops.topology.diff import diff

        return compare(self.settings) if facts is None else diff(facts)

    def topology_apply(
        self, *, apply: bool = False, worker_queues: bool = True, confirm: str | None = None, force: bool = False
    ) -> ApplyResult:
        """Declares the objects of the topology that the broker lacks, and reads them back; a dry run without `apply`.

        Needs tag management and permission to configure; changes and deletes nothing that exists. Undo: delete the
        queues and exchanges that were declared. With `worker_queues=False` missing queues of workers are left to the
        start-up of their workers, which alone consumes from them. `confirm` is the name of a protected environment.
        Raises `SourceError`, `ConfigError`.

        >>> ops.topology_apply().outcomes  # a dry run: nothing is missing
        ()
        """
        from attune_ops.topology.apply import apply_topology

        return apply_topology(self.settings, write=apply, worker_queues=worker_queues, confirm=confirm, force=force)

    def topology_graph(self, *, live: bool = False, facts: Facts | None = None) -> Graph:
        """The topology as a graph; `live` or with `facts`, with queue depths, consumers and missing objects.

        Reads broker and registry if `live`, needs tag monitoring, changes nothing. Raises `SourceError`.

        >>> ops.topology_graph().nodes[0].kind
        'service'
        """
        from attune_ops.topology.topology_graph import SOURCES, topology_graph

        return topology_graph(facts or (self._read(SOURCES) if live else self.settings.topology))

    def topology_export(self, to: str = "definitions", *, live: bool = False, workers: tuple[int, ...] = ()) -> str:
        """The topology, or with `live` what is on the broker, as RabbitMQ definitions or a topology file (`to="toml"`).

        Definitions of the topology include the queues of these `workers`. Changes nothing. Raises `SourceError`.

        >>> ops.topology_export(to="toml").splitlines()[0]
        '#:schema attune-ops-topology.schema.json'
        """
        from attune_ops.topology.export import SOURCES, export_topology

        return export_topology(self._read(SOURCES) if live else self.settings.topology, to, workers)

    def bind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
    ) -> Table:
        """Binds a queue, or with `exchange` an exchange; without `apply` a dry run; see `topology.bind`.

        >>> ops.bind("attune.events", "attune.events.queue", "example")  # a dry run
        source         routing_key  destination          destination_kind  wanted  arguments
        attune.events  example      attune.events.queue  queue             no
        <BLANKLINE>
        undo: attune-ops topology unbind --arguments '{}' --apply -- attune.events attune.events.queue example
        """
        from attune_ops.topology.bind import bind

        return bind(
            self.settings,
            source,
            destination,
            routing_key,
            exchange=exchange,
            arguments=arguments,
            apply=apply,
            confirm=confirm,
        )

    def unbind(
        self,
        source: str,
        destination: str,
        routing_key: str = "",
        *,
        exchange: bool = False,
        arguments: Mapping[str, Any] | None = None,
        apply: bool = False,
        confirm: str | None = None,
        force: bool = False,
    ) -> Table:
        """Removes a binding, with any arguments if they are None; without `apply` a dry run; see `topology.bind`.

        >>> print(ops.unbind("attune.executions", "worker.1.executions", "worker.1").notes[0])  # a dry run
        undo: attune-ops topology bind --apply -- attune.executions worker.1.executions worker.1
        """
        from attune_ops.topology.bind import unbind

        return unbind(
            self.settings,
            source,
            destination,
            routing_key,
            exchange=exchange,
            arguments=arguments,
            apply=apply,
            confirm=confirm,
            force=force,
        )

    @property
    def policies(self) -> PolicyOperations:
        """Operations on policies: `show`, `apply`, `remove`.

        >>> ops.policies.show(columns=("name", "is"))
        name           is
        base-queues    not set
        exchanges      not set
        worker-queues  not set
        """
        from attune_ops.topology.policies.apply_policy import PolicyOperations

        return PolicyOperations(self.settings)
