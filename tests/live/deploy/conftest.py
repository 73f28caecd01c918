"""The installation that what is deployed points to."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests import migrations
from tests.live.places import Place
from tests.postgres import Server
from tests.world import Broker, Vhost, eventually


@pytest.fixture(scope="module")
def installed(broker: Broker, postgres: Server, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """An installation of release 0.6 with two workers and a registry in PostgreSQL."""
    with postgres.database(migrations.RELEASE_0_6) as database, broker.vhost() as vhost:
        place = Place(vhost, tmp_path_factory.mktemp("place"), "attune-0.6")
        place.use_registry(database)
        try:
            place.populate()
            eventually(lambda: is_listed(vhost), within=60)  # else two snapshots differ in what the broker lists late
            yield place
        finally:
            place.close()


def is_listed(vhost: Vhost) -> bool:
    """Whether the statistics have every queue, consumer and connection."""
    queues, consumers, connections = (
        vhost.api("GET", path).json() for path in ("queues/{vhost}", "consumers/{vhost}", "vhosts/{vhost}/connections")
    )
    counts = [q.get("consumers") for q in queues]
    return None not in counts and sum(counts) == len(consumers) >= 20 and len(connections) >= 4
