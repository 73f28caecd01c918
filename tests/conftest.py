"""The real RabbitMQ and PostgreSQL that the tests run on.

The suite starts its own unless a running one is named: `ATTUNE_OPS_TEST_AMQP_URL` with
`ATTUNE_OPS_TEST_MANAGEMENT_URL` (an administrator's credentials in both), `ATTUNE_OPS_TEST_DATABASE_URL`
(a superuser's, without a database name). `ATTUNE_OPS_TEST_SERVER` chooses the installation of the broker that
it starts, `ATTUNE_OPS_TEST_NEWER` that of what needs a newer one than the distribution's. Without any, tests skip
on a laptop and fail where `CI` is set.
"""

from __future__ import annotations

import fcntl
import gc
import json
import os
import secrets
import shutil
import signal
import tempfile
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import hypothesis
import pytest

from tests import lean_server
from tests import postgres as pg
from tests.world import FORKED, Broker, Run, Users, Vhost, clean_environment

if TYPE_CHECKING:
    from attune_ops.lab import Lab

SHARED = "ATTUNE_OPS_TEST_FOLDER"  # one folder for the whole run, shared by the xdist workers
LAB, LEAN = "test", "rabbitmq"
MEMORY, ROOM = "/dev/shm", 4 << 30  # bytes; a run has about 1 GB there
STATISTICS = ["collect_statistics_interval = 1000"]  # ms, instead of 5 s: what a test waits for most
hypothesis.settings.register_profile("shared", deadline=None)  # how long an example takes is the machine's affair
hypothesis.settings.load_profile("shared")


def pytest_configure(config: pytest.Config) -> None:
    """Points this process and the workers it starts at a state folder of the run's own."""
    if hasattr(config, "workerinput"):
        lean_server.use(Path(os.environ[SHARED], LEAN))
        return
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # so that what runs is stopped then, too
    folder = tempfile.mkdtemp(prefix="attune-ops-tests-", dir=_in_memory())
    for name in [n for n in os.environ if n.startswith("ATTUNE_") and not n.startswith("ATTUNE_OPS_TEST_")]:
        del os.environ[name]
    os.environ[SHARED] = folder
    os.environ |= clean_environment(Path(folder)) | {"HOME": os.environ.get("HOME", folder)}
    lean_server.make(Path(folder, LEAN))
    lean_server.use(Path(folder, LEAN))


def _in_memory() -> str | None:
    """The folder of a file system in memory with room for the data of the brokers and of PostgreSQL.

    These write through to the disk, and most of what a virtual host or a database costs is that. None, so the folder
    of temporary files, where there is no such file system, `TMPDIR` names another folder, or another
    RabbitMQ is given: those that `scripts/rabbitmq` makes see no lab below `/dev`.
    """
    try:
        free = shutil.disk_usage(MEMORY).free
    except OSError:
        return None
    if {"TMPDIR", "ATTUNE_OPS_TEST_SERVER"} & os.environ.keys():
        return None
    return MEMORY if free >= ROOM and os.access(MEMORY, os.W_OK | os.X_OK) else None


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Collects without garbage collections, each of which would go through all that is there so far.

    What was collected is old then, so that those of young objects do not go through it either.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.unfreeze()
        gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Puts the modules with slow tests first, then others of real processes; an equal share of them for each worker.

    `--dist worksteal` cuts this order into equal pieces, one for each worker, and gives a worker that has no more the
    end of another's. So the slow ones wait while others compute, most modules with a broker of their own are on one
    worker, and no worker is left alone with a long test at the end.
    """
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    units = {item.path for item in items if item.nodeid.startswith("tests/unit/")} - slow
    items.sort(key=lambda item: (item.path not in slow, item.path in units))
    turn = {path: at % workers for at, path in enumerate(dict.fromkeys(i.path for i in items if i.path not in units))}
    rest, left = [item for item in items if item.path in units], len(items)
    pieces = [[item for item in items if turn.get(item.path) == worker] for worker in range(workers)]
    for worker, piece in enumerate(pieces):
        room = max(0, left // (workers - worker) - len(piece))
        piece += rest[:room]
        del rest[:room]
        left -= len(piece)
    items[:] = [item for piece in pieces for item in piece] + rest


def pytest_sessionfinish() -> None:
    """Writes what coverage has measured before xdist knows that the worker is ready.

    It ends a worker that is still there 10 s later, and the data of all its tests with it.
    """
    if "COVERAGE_FILE" in os.environ:
        import coverage

        if (measured := coverage.Coverage.current()) is not None:
            measured.stop()
            measured.save()


def pytest_unconfigure(config: pytest.Config) -> None:
    """Stops what the run started, once every worker has ended."""
    FORKED.close()
    if hasattr(config, "workerinput") or SHARED not in os.environ:
        return
    shared = Path(os.environ.pop(SHARED))
    from attune_ops.installation.config.running_lab import Process
    from attune_ops.lab import process
    from attune_ops.lab.folder import names, remove

    if (shared / "postgres.json").exists():
        told = json.loads((shared / "postgres.json").read_text())
        process.end([Process(told["pid"], told["started"])], 10, signal.SIGQUIT)
        remove(Path(told["folder"]))
    for name in names():
        end_lab(name)
    shutil.rmtree(shared, ignore_errors=True)


def lacking(what: str) -> NoReturn:
    """Skips the test, or fails it in CI."""
    if os.environ.get("CI"):
        pytest.fail(f"{what} (in CI this is no reason to skip)")
    pytest.skip(what)


@contextmanager
def _alone(name: str) -> Iterator[Path]:
    """Holds a lock over all workers; gives the run's shared folder."""
    shared = Path(os.environ[SHARED])
    with (shared / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield shared


@pytest.fixture(scope="session")
def broker() -> Broker:
    """A running RabbitMQ, as an administrator: the suite's own lab, or the one named in the environment."""
    given = os.environ.get("ATTUNE_OPS_TEST_AMQP_URL"), os.environ.get("ATTUNE_OPS_TEST_MANAGEMENT_URL")
    if given[0] and given[1]:
        return Broker(given[0], given[1])
    from attune_ops import lab
    from attune_ops.model.errors import AttuneOpsError

    try:
        up = lab.up(LAB, server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), config=STATISTICS).state
    except AttuneOpsError as e:
        lacking(f"no broker for the live tests: {e}")
    made = Broker(up.amqp_url, up.management_url)
    if file := os.environ.get("ATTUNE_OPS_TEST_RELEASE"):  # of scripts/compatibility
        about = made.api("GET", "overview").json()
        Path(file).write_text(json.dumps({k: about[k] for k in ("rabbitmq_version", "erlang_version")}))
    return made


@pytest.fixture
def own_lab() -> Iterator[Lab]:
    """A broker of the test's own, which may be killed; the suite's may not."""
    with started_lab() as made:
        yield made


@pytest.fixture(scope="module")
def module_lab() -> Iterator[Lab]:
    """The same for all tests of a module."""
    with started_lab() as made:
        yield made


@contextmanager
def started_lab() -> Iterator[Lab]:
    """A broker that is stopped, with its data, at the end of the block."""
    from attune_ops import lab
    from attune_ops.model.errors import AttuneOpsError

    name = f"t{secrets.token_hex(4)}"
    try:
        made = lab.up(name, server=os.environ.get("ATTUNE_OPS_TEST_SERVER"))
    except AttuneOpsError as e:
        end_lab(name)
        lacking(f"no broker to start: {e}")
    try:
        yield made
    finally:
        end_lab(name)


def end_lab(name: str) -> None:
    """Takes a lab down. Its nodes are killed: a clean stop takes a second, and nobody needs their data."""
    from attune_ops import lab
    from attune_ops.installation.config.running_lab import read_state
    from attune_ops.model.errors import ConfigError

    with suppress(ConfigError):  # what `lab.down` cannot read either it removes all the same
        state = read_state(name)
        for node in state.nodes if state else ():
            lab.Lab(name).kill_node(node.name)
    lab.down(name)


@pytest.fixture
def vhost(broker: Broker) -> Iterator[Vhost]:
    """A fresh virtual host with all rights, deleted after the test."""
    with broker.vhost() as made:
        yield made


@pytest.fixture
def user(broker: Broker) -> Iterator[Users]:
    """`user(vhost, tags=…, configure=…)` makes a broker user and returns the virtual host as that user sees it."""
    made = Users(broker)
    yield made
    made.close()


def _note(file: Path, told: dict[str, object]) -> None:
    file.write_text(json.dumps(told))


@pytest.fixture(scope="session")
def postgres() -> pg.Server:
    """A PostgreSQL server, the suite's own or the one named in the environment."""
    if given := os.environ.get("ATTUNE_OPS_TEST_DATABASE_URL"):
        return pg.Server(given.rstrip("/"))
    from attune_ops.lab.postgres import Postgres
    from attune_ops.model.errors import ConfigError

    with _alone("postgres") as shared:
        told = shared / "postgres.json"
        if not told.exists():
            try:
                server = Postgres(Path(shared.parent, f"attune-ops-postgres-{secrets.token_hex(6)}"))
            except ConfigError as e:
                lacking(f"no PostgreSQL for the live tests: {e}")
            server.make()
            place = {"url": server.url, "folder": str(server.folder)}
            server.start(lambda p: _note(told, place | {"pid": p.pid, "started": p.started}))
        return pg.Server(json.loads(told.read_text())["url"])


@pytest.fixture
def database(postgres: pg.Server) -> Iterator[str]:
    """The URL of a fresh database with the tables of a present Attune release."""
    with postgres.database(pg.SCHEMA) as url:
        yield url


@pytest.fixture
def older_database(postgres: pg.Server) -> Iterator[str]:
    """The URL of a fresh database as an older release has it: no cordon columns, no roles."""
    with postgres.database(pg.SCHEMA, pg.OLDER) as url:
        yield url


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """Runs the installed `attune-ops` as a process with a clean environment, in a folder of its own."""
    folder = tmp_path / "run"
    folder.mkdir()
    return Run(folder, clean_environment(tmp_path / "home"))
