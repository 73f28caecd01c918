"""What every part of the facade needs: the settings, and the facts read with them."""

from __future__ import annotations

from collections.abc import Collection
from typing import TYPE_CHECKING, Self

from attune_ops.model.facts import Facts, Source
from attune_ops.model.secret import hold

if TYPE_CHECKING:
    from attune_ops.installation.config import Settings


class InstallationFacts:
    """One installation: its settings, and what is read from it."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        hold(self, settings.secrets)

    def facts(
        self,
        sources: Collection[Source] | None = None,
        *,
        samples: int = 1,
        interval: float = 7.0,
        skip_worker_statistics: bool = False,
    ) -> Facts:
        """Reads broker and registry: all sources, or only the given ones. Needs tag monitoring, changes nothing.

        With `samples=2` the queues are read twice, `interval` s apart, to measure growth and throughput. With
        `skip_worker_statistics` and more than 2,000 queues, rates and message ages of worker queues are not read: they
        take longest. What cannot be read is in `Facts.missing` with its reason; nothing is raised.

        >>> from attune_ops.model.facts import Source
        >>> ops.facts([Source.BROKER]).broker.product
        'RabbitMQ'
        """
        from attune_ops.installation.collect import collect

        return collect(
            self.settings, sources, samples=samples, interval=interval, skip_worker_statistics=skip_worker_statistics
        )

    def _read(self, sources: Collection[Source]) -> Facts:
        from attune_ops.model.ownership import require

        return require(self.facts(sources), Source.BROKER)

    def close(self) -> None:
        """Closes what was opened; may be called twice.

        >>> ops.close()
        """

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<attune_ops.Ops {self.settings.env or ''} {self.settings.amqp}>".replace("  ", " ")
