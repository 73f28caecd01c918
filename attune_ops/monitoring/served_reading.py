"""What `serve` keeps of a reading, and how its memory is given back."""

from __future__ import annotations

import ctypes
import gc
import sys
import threading
import time
import zlib
from contextlib import suppress

import msgspec

from attune_ops.doctor.findings import Report
from attune_ops.doctor.html_report import report_html
from attune_ops.installation.config.settings import Settings
from attune_ops.inventory.workers import workers
from attune_ops.model.decoding import decode_msgpack
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import BrokerSnapshot
from attune_ops.monitoring.env_label import with_env
from attune_ops.monitoring.metrics import exposition, families

M_ARENA_MAX, M_MMAP_THRESHOLD = -8, -3  # of mallopt(3)
PAGE_ROWS = 1_000  # of one table: the page of 10,000 workers would take twice the memory of a reading
SWITCH_S = 0.001  # a request that needs the interpreter during a reading waits so long, some ten times

# A diagnosis or a page, of whichever environment: with 10,000 workers the values of each take 60 MB.
MAKING = threading.Lock()


class Reading:
    """What is kept of one diagnosis: the answers, and the report in as few bytes as it fits in.

    As values the report of 10,000 workers takes 60 MB, and the next reading needs as much again. What is kept is a few
    large pieces: thousands of small ones, made while a reading's values are there, would hold the memory around them.
    """

    def __init__(self, report: Report, most_workers: int, settings: Settings, label: str | None = None) -> None:
        """With `label` each metric has it as `env`."""
        facts = report.facts
        self.at = time.monotonic()
        self.alarms = facts.broker.alarms if facts.broker else None
        self.unknown_alarms = facts.missing_reason((Source.ALARMS,))
        self.unknown_workers = facts.missing_reason((Source.BROKER, Source.REGISTRY))
        self._states = msgspec.msgpack.encode(_states(facts) if self.unknown_workers is None else {})
        # Now, in the reading's thread: a scrape only sends it.
        made = families(report, most_workers)
        self.metrics = exposition(made if label is None else with_env(made, label))
        self.verdict = report.verdict
        self._settings = settings
        self._report = zlib.compress(msgspec.msgpack.encode(report), level=1)
        self._packed_page: bytes | None = None

    @property
    def age(self) -> float:
        """Seconds since it was taken."""
        return time.monotonic() - self.at

    def state(self, worker: str) -> str | None:
        """The state of the worker of this name or id, None where there is none."""
        return decode_msgpack(self._states, dict[str, str]).get(worker)

    @property
    def earlier(self) -> BrokerSnapshot | None:
        """The broker as the first sample of the next reading: what checks compare, without the rest."""
        broker = decode_msgpack(zlib.decompress(self._report), _OnlyBroker).facts.broker
        return broker and msgspec.structs.replace(broker, exchanges=None, bindings=None, connections=None)

    @property
    def page(self) -> bytes:
        """The HTML report, made at the first request."""
        with MAKING:
            if self._packed_page is None:
                report = decode_msgpack(zlib.decompress(self._report), Report)
                page = report_html(report, self._settings.secrets, rows=PAGE_ROWS).encode()
                del report
                free_memory()
                self._packed_page = zlib.compress(page, level=1)
            return zlib.decompress(self._packed_page)


class _BrokerOfFacts(msgspec.Struct):
    broker: BrokerSnapshot | None = None


class _OnlyBroker(msgspec.Struct):
    """The part of a report that the next reading needs; decoding leaves out the rest."""

    facts: _BrokerOfFacts


def _states(facts: Facts) -> dict[str, str]:
    """The state of each worker by its name and by its id, made once a reading.

    As `health worker` chooses: an id before a name, and of equal names the newest row, which is the one that lives.
    """
    rows = [(r["name"], r["id"], str(r["state"] or "unknown")) for r in facts.memo(workers).records()]  # by id
    named = {str(name): state for name, _, state in rows if name is not None}
    return named | {str(id): state for _, id, state in rows}


def share_process() -> None:
    """Prepares a process for readings beside requests: it returns freed memory, and a reading holds up no request.

    Before its first reading. Python's automatic garbage collections would traverse all values of a reading, and with
    10,000 workers each holds the interpreter for 0.2 s: there is one after each reading, in `free_memory`, without what
    is there before the first. By default each thread that reads has a heap of its own in the C library (glibc), which
    keeps its largest size, 60 MB without any content: there is one heap, and large blocks are outside of it.
    """
    gc.disable()
    gc.freeze()
    sys.setswitchinterval(SWITCH_S)
    with suppress(AttributeError, OSError):
        library = ctypes.CDLL(None)
        library.mallopt(M_ARENA_MAX, 1)
        library.mallopt(M_MMAP_THRESHOLD, 128 * 1024)


def free_memory() -> None:
    """Frees the earlier reading: its values refer to each other, and the C library keeps what was freed (glibc)."""
    gc.collect()
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)
