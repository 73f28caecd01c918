"""`attune-ops serve`: one reading every interval, from which every request is answered."""

from __future__ import annotations

import contextlib
import logging
import socket
import threading
import time
from collections.abc import Callable, Iterator
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple, Protocol
from urllib.parse import unquote, urlsplit

from attune_ops.doctor.diagnosis import diagnose_live, pages
from attune_ops.installation.collect import collect, with_earlier
from attune_ops.installation.config.settings import Settings
from attune_ops.installation.management import SAMPLE_INTERVAL_S
from attune_ops.model import units
from attune_ops.model.errors import ActionError, AttuneOpsError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.secret import scrub
from attune_ops.monitoring.env_label import with_env
from attune_ops.monitoring.metrics import MOST_WORKERS, exposition
from attune_ops.monitoring.prometheus import CONTENT_TYPE_LATEST, CounterMetricFamily, GaugeMetricFamily, Metric
from attune_ops.monitoring.served_reading import MAKING, Reading, free_memory
from attune_ops.monitoring.web_config import WebConfig
from attune_ops.render import text, written

log = logging.getLogger(__name__)

TOO_OLD = 3  # intervals: an older reading answers no question about health
REQUEST_S = 10.0  # for a client to send its request
FIT = ("ready", "starting")  # states of a worker that needs nobody

PLAIN, HTML = "text/plain; charset=utf-8", "text/html; charset=utf-8"


class Answer(NamedTuple):
    """What a request gets: `body`, then `rest`, which is several MB for 10,000 workers and is not copied."""

    status: HTTPStatus
    kind: str
    body: bytes
    rest: bytes = b""


class Exporter:
    """Reads an installation every `interval` s in one thread, and answers requests from the last reading of the broker.

    While the broker cannot be read, what that reading had stays, with its age. A reading without the registry counts.
    """

    def __init__(
        self,
        settings: Settings,
        *,
        interval: float = 15.0,
        most_workers: int = MOST_WORKERS,
        record: Callable[[Facts], str | None] | None = None,
        label: str | None = None,
        note: Callable[[str], None] = lambda line: None,
    ) -> None:
        """`label` is the name of the environment where several are served.

        `record` gets each reading, also one without a broker, and gives the reason why it could not record it. `note`
        gets a line when readings begin to fail, with the reason, and when they succeed again.
        """
        self.settings, self.interval, self._most, self._record = settings, interval, most_workers, record
        self._label, self._note, self._failing = label, note, False
        self.recording_failure: str | None = "nothing was recorded yet"
        self.reading: Reading | None = None
        self.failure: str | None = "nothing was read yet"
        self.broker_failure: str | None = self.failure  # None while only the registry cannot be read
        self.readings = self.failures = 0
        self.duration = 0.0
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="attune-ops reading", daemon=True)

    def start(self) -> None:
        """Starts to read."""
        self._thread.start()

    def stop(self) -> None:
        """Starts no further reading; one that is under way ends by itself, or with the process."""
        self._ended.set()

    def _run(self) -> None:
        while not self._ended.is_set():
            began = time.monotonic()
            self.read_once()
            self.duration = time.monotonic() - began
            free_memory()
            self._ended.wait(max(0.0, self.interval - self.duration))

    def read_once(self) -> None:
        """Takes one reading; what could not be read is counted as a failure, with its reason."""
        earlier = self.reading
        fresh = earlier is not None and earlier.age >= SAMPLE_INTERVAL_S
        self.readings += 1
        broker: str | None
        registry: str | None = None
        recording: str | None = "the reading failed"
        try:
            facts = collect(self.settings, skip_worker_statistics=True, confirm=True)
            if self._record is not None:
                recording = self._record(facts)
            if earlier is not None and fresh:
                facts = with_earlier(facts, earlier.earlier)
            if self.reading is None or facts.missing_reason((Source.BROKER,)) is None:
                with MAKING:
                    self.reading = self._diagnosed(facts)
            broker = facts.missing_reason((Source.BROKER,))
            registry = facts.missing_reason((Source.REGISTRY,)) if self.settings.database else None
        except AttuneOpsError as e:
            broker = str(e)
        except Exception as e:  # the next reading may succeed; the metric says that this one did not
            log.exception("a reading failed")
            broker = f"unexpected {type(e).__name__} (a bug)"
        self.recording_failure = recording
        # Whoever asks gets them, and a server may have repeated what it was sent.
        self.broker_failure, self.failure = map(self._masked, (broker, broker or registry))
        self.failures += self.failure is not None
        self._report()

    def _masked(self, reason: str | None) -> str | None:
        return None if reason is None else scrub(reason, self.settings.secrets)

    def _report(self) -> None:
        """Says that readings begin to fail, or succeed again: once, not for each reading."""
        before, self._failing = self._failing, self.failure is not None
        if self._failing is not before:
            with contextlib.suppress(OSError):  # the log's disk is full: the readings go on
                self._note(f"readings fail: {self.failure}" if self._failing else "readings succeed again")

    def _diagnosed(self, facts: Facts) -> Reading:
        report = diagnose_live(self.settings, facts=facts)
        return Reading(report, self._most, self.settings, self._label)

    @property
    def unknown(self) -> str | None:
        """Why the last reading answers no question about health, or None."""
        return self._unknown(self.failure)

    def _unknown(self, failure: str | None) -> str | None:
        """The failure, or that the last reading is too old, or None."""
        if self.reading is None or failure is not None:
            return failure
        if self.reading.age > TOO_OLD * self.interval:
            return f"the last reading is {self.reading.age:.0f} s old"
        return None

    def answer(self, path: str) -> Answer:
        """What a GET of this path gets."""
        parts = [unquote(p) for p in urlsplit(path).path.strip("/").split("/")]
        match parts:
            case ["metrics"]:
                read = self.reading.metrics if self.reading else b""
                return Answer(HTTPStatus.OK, CONTENT_TYPE_LATEST, self.own_metrics(), read)
            case ["readyz"]:
                return _line(self.unknown is None, self.unknown or f"ready: {self._taken()}")
            case ["healthz", "broker"]:
                return self._broker()
            case ["healthz", "worker", name]:
                return self._worker(name)
            case ["checks"]:
                return Answer(HTTPStatus.OK, HTML, written(pages("all"), "html").encode())
            case [""] if self.reading is not None:
                return Answer(HTTPStatus.OK, HTML, self.reading.page)
            case [""]:
                return _line(False, self.failure or "")
            case _:
                known = "/, /metrics, /checks, /readyz, /healthz/broker, /healthz/worker/NAME"
                return Answer(HTTPStatus.NOT_FOUND, PLAIN, f"not found; there are {known}\n".encode())

    def own_metrics(self) -> bytes:
        """The metrics of the readings themselves; with the label `env` where several are served."""
        return exposition(self._own() if self._label is None else with_env(self._own(), self._label))

    def _own(self) -> Iterator[Metric]:
        """The metrics of the readings themselves."""
        success = GaugeMetricFamily("attune_ops_reading_success", "1: the last reading succeeded.")
        success.add_metric([], self.failure is None)
        broker = GaugeMetricFamily("attune_ops_reading_broker_success", "1: the last reading read the broker.")
        broker.add_metric([], self.broker_failure is None)
        interval = GaugeMetricFamily("attune_ops_reading_interval_seconds", "From a reading to the next.")
        interval.add_metric([], self.interval)
        took = GaugeMetricFamily("attune_ops_reading_duration_seconds", "Of the last reading.")
        took.add_metric([], self.duration)
        count = CounterMetricFamily("attune_ops_readings", "Readings since the start.")
        count.add_metric([], self.readings)
        failed = CounterMetricFamily("attune_ops_reading_failures", "Readings that failed.")
        failed.add_metric([], self.failures)
        yield from (success, broker, interval, took, count, failed)
        if self._record is not None:
            recording = GaugeMetricFamily("attune_ops_recording_success", "1: the last reading is in the history.")
            recording.add_metric([], self.recording_failure is None)
            yield recording
        if self.reading is not None:
            age = GaugeMetricFamily("attune_ops_reading_age_seconds", "Age of the reading that all other metrics show.")
            age.add_metric([], self.reading.age)
            yield age

    def _broker(self) -> Answer:
        unknown = self._unknown(self.broker_failure)
        if unknown is not None or self.reading is None:
            return _line(False, f"unknown: {unknown}")
        if self.reading.alarms:
            return _line(False, f"not healthy: an alarm blocks publishers: {', '.join(self.reading.alarms)}")
        if self.reading.unknown_alarms is not None:
            return _line(False, f"unknown: {self._masked(self.reading.unknown_alarms)}")
        return _line(True, f"healthy: {self._taken()}")

    def _worker(self, name: str) -> Answer:
        if self.unknown is not None or self.reading is None:
            return _line(False, f"unknown: {self.unknown}")
        if self.reading.unknown_workers is not None:
            return _line(False, f"unknown: {self._masked(self.reading.unknown_workers)}")
        state = self.reading.state(name)
        if state is None:
            return _line(False, f"not healthy: worker {name} is not registered; {self._taken()}")
        good = state in FIT
        return _line(good, f"{'' if good else 'not '}healthy: worker {name}: {state}; {self._taken()}")

    def _taken(self) -> str:
        return f"read {units.counted(round(self.reading.age), 'second')} ago" if self.reading else "not read"


def _line(good: bool, said: str) -> Answer:
    status = HTTPStatus.OK if good else HTTPStatus.SERVICE_UNAVAILABLE
    return Answer(status, PLAIN, f"{text.visible(said)}\n".encode())


class Answering(Protocol):
    """What a server asks."""

    def answer(self, path: str) -> Answer:
        """What a GET of this path gets."""
        ...


def http_server(exporter: Answering, host: str, port: int, web: WebConfig) -> ThreadingHTTPServer:
    """The server, bound and not yet serving; raises `ActionError` where it cannot listen."""

    class Handler(BaseHTTPRequestHandler):
        timeout = REQUEST_S
        server_version, sys_version = "attune-ops", ""
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            if not web.allows(self.headers.get("Authorization")):
                self._send(Answer(HTTPStatus.UNAUTHORIZED, PLAIN, b"user and password are wrong or missing\n"))
                return
            self._send(exporter.answer(self.path))

        do_HEAD = do_GET  # noqa: N815 - its name in the standard library

        def _send(self, answer: Answer) -> None:
            self.send_response(answer.status)
            self.send_header("Content-Type", answer.kind)
            self.send_header("Content-Length", str(len(answer.body) + len(answer.rest)))
            if answer.status is HTTPStatus.UNAUTHORIZED:
                self.send_header("WWW-Authenticate", 'Basic realm="attune-ops"')
            self.end_headers()
            if self.command != "HEAD":
                self.wfile.write(answer.body)
                self.wfile.write(answer.rest)

        def log_message(self, format: str, *args: Any) -> None:
            """Nothing: a path could hold what a client has sent by mistake."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        block_on_close = False
        address_family = socket.AF_INET6 if ":" in host else socket.AF_INET

        def handle_error(self, request: Any, client_address: Any) -> None:
            """Nothing: a client that went away is no error."""

    try:
        server = Server((host, port), Handler)
    except OSError as e:
        raise ActionError(f"cannot listen on {host}:{port}: {e.strerror or e}") from None
    context = web.tls_context()
    if context is not None:
        # Not at accept: one client that does not speak would hold all others.
        server.socket = context.wrap_socket(server.socket, server_side=True, do_handshake_on_connect=False)
    return server
