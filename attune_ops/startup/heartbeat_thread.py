"""The heartbeats of a worker in the registry, from a thread of their own as in Attune's services."""

from __future__ import annotations

import threading
from collections.abc import Callable
from types import TracebackType
from typing import Self

from attune_ops.installation import registry_write
from attune_ops.installation.config.settings import Database
from attune_ops.model.errors import AttuneOpsError


class Heartbeats:
    """Sets a worker's heartbeat every `interval` s inside a `with` block, whether or not single ones fail.

    `on_failure` is told of each that failed, in the thread. Undo: `registry.deactivate`.
    """

    def __init__(
        self,
        database: Database,
        worker_id: int,
        interval: float,
        on_failure: Callable[[AttuneOpsError], None],
    ) -> None:
        self._database, self._worker_id, self._interval, self._on_failure = database, worker_id, interval, on_failure
        self._closed = threading.Event()
        self._thread = threading.Thread(target=self._beat, name=f"heartbeats of worker {worker_id}", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()  # none is under way afterwards, so that it cannot undo a clean stop

    def _beat(self) -> None:
        while not self._closed.wait(self._interval):
            try:
                registry_write.heartbeat(self._database, self._worker_id, timeout=self._interval)
            except AttuneOpsError as e:
                self._on_failure(e)
