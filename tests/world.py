"""What the fixtures of `conftest` hand out: a broker, a virtual host, a user, a run of the command."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote, urlsplit

import requests

from tests.forked import Forked

if TYPE_CHECKING:
    from pika.adapters.blocking_connection import BlockingChannel

    from attune_ops.installation.config import Settings


POLL_S = 0.1
PATIENCE_S = 60.0  # for what comes in a second or in ten on an idle machine


def eventually(question: Callable[[], Any], within: float = PATIENCE_S, every: float = POLL_S) -> Any:
    """Asks until the answer is true and returns it; fails with the last answer once the time is over.

    That is `within` in s, never less than `PATIENCE_S`, and more on a busy machine. Between two questions are `every`
    s, or as long as one took: the tests that run beside this one need the processor too. Only who waits for a moment,
    with less than `POLL_S`, does not miss it for that.
    """
    within = loaded(max(within, PATIENCE_S))
    deadline = time.monotonic() + within
    while True:
        asked = time.monotonic()
        if answer := question():
            return answer
        assert time.monotonic() < deadline, f"still {answer!r} after {within} s"
        time.sleep(every if every < POLL_S else max(every, time.monotonic() - asked))


def loaded(seconds: float) -> float:
    """These seconds; more where the machine has more to do than it has processors."""
    return seconds * max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def words_of(line: str, folder: Path | None = None, env: Mapping[str, str] | None = None) -> list[str]:
    """The words that a shell hands to `attune-ops` for this line."""
    told = line.replace("attune-ops", r"printf '%s\0'", 1)
    done = subprocess.run(["bash", "-c", told], cwd=folder, env=env, capture_output=True, check=True)
    return done.stdout.decode().split("\0")[:-1]


ONE_COMMAND = re.compile(r"attune-ops [^;&|<>()`\n]+")
COMMAND = Path(sys.executable).with_name("attune-ops")
FORKED = Forked(COMMAND)


@dataclass(frozen=True)
class Broker:
    """A running RabbitMQ, as an administrator. `amqp_url` and `management_url` hold the credentials."""

    amqp_url: str
    management_url: str
    session: requests.Session = field(default_factory=requests.Session, repr=False, compare=False)

    @property
    def user(self) -> str:
        """The administrator's name."""
        return unquote(urlsplit(self.amqp_url).username or "guest")

    @property
    def password(self) -> str:
        """The administrator's password."""
        return unquote(urlsplit(self.amqp_url).password or "guest")

    @property
    def amqp_address(self) -> str:
        """host:port of AMQP."""
        return urlsplit(self.amqp_url).netloc.rpartition("@")[2]

    @property
    def management_address(self) -> str:
        """host:port of the management API."""
        return urlsplit(self.management_url).netloc.rpartition("@")[2]

    @property
    def version(self) -> tuple[int, ...]:
        """The broker's version, (3, 10, 8)."""
        return tuple(int(part) for part in self.api("GET", "overview").json()["rabbitmq_version"].split(".")[:3])

    def api(self, method: str, path: str, body: Any = None, ok: tuple[int, ...] = (200, 201, 204)) -> requests.Response:
        """Calls `/api/PATH` as administrator; the answer's status must be among `ok`."""
        url = f"http://{self.management_address}/api/{path}"
        how: dict[str, Any] = {
            "json": body,
            "auth": (self.user, self.password),
            "timeout": 180,
        }  # a new cluster may take its time for a virtual host
        try:
            answer = self.session.request(method, url, **how)
        except requests.ConnectionError:  # a broker that was away has closed the connection that was kept
            answer = self.session.request(method, url, **how)
        assert answer.status_code in ok, f"{method} {path}: {answer.status_code} {answer.text}"
        return answer

    @property
    def vhosts(self) -> set[str]:
        """The names of the virtual hosts. One that is deleted meanwhile may be listed without a name."""
        return {found["name"] for found in self.api("GET", "vhosts").json() if "name" in found}

    @contextmanager
    def vhost(self, name: str | None = None) -> Iterator[Vhost]:
        """Makes a fresh virtual host that the administrator may use, and deletes it after."""
        made = Vhost(self, name or f"test-{secrets.token_hex(6)}", self.user, self.password)
        if self.api("PUT", f"vhosts/{made.quoted}", {}, ok=(200, 201, 204, 500)).status_code == 500:
            # A node of a busy cluster had not started it within the 45 s that the broker allows.
            self.api("PUT", f"vhosts/{made.quoted}", {})
        eventually(lambda: self._runs(made), every=0.5)
        try:
            self.api("PUT", f"permissions/{made.quoted}/{quote(self.user, safe='')}", _ALL)
            yield made
        finally:
            self.api("DELETE", f"vhosts/{made.quoted}", ok=(204, 404))

    def _runs(self, vhost: Vhost) -> bool:
        """Whether each node has started it; one that was too busy does not do it by itself."""
        states = self.api("GET", f"vhosts/{vhost.quoted}").json()["cluster_state"]
        if not states:  # an empty list to begin with, as no node knows it yet
            return False
        stopped = [node for node, state in states.items() if state == "stopped"]
        for node in stopped:
            self.api("POST", f"vhosts/{vhost.quoted}/start/{node}", ok=(204, 500))
        return not stopped


_ALL = {"configure": ".*", "write": ".*", "read": ".*"}


@dataclass(frozen=True)
class Vhost:
    """A virtual host of the test's own, seen by one user."""

    broker: Broker
    name: str
    user: str
    password: str = field(repr=False)

    @property
    def quoted(self) -> str:
        """The name as it stands in a URL."""
        return quote(self.name, safe="")

    @property
    def amqp_url(self) -> str:
        """The AMQP URL with this user's credentials."""
        return f"amqp://{self._credentials}@{self.broker.amqp_address}/{self.quoted}"

    @property
    def management_url(self) -> str:
        """The management API's URL with this user's credentials."""
        return f"http://{self._credentials}@{self.broker.management_address}"

    @property
    def environment(self) -> dict[str, str]:
        """The environment variables that point the command here."""
        return {"ATTUNE_OPS_AMQP_URL": self.amqp_url, "ATTUNE_OPS_MANAGEMENT_URL": self.management_url}

    @property
    def _credentials(self) -> str:
        return f"{quote(self.user, safe='')}:{quote(self.password, safe='')}"

    def settings(self, database_url: str, topology: str = "attune-2026-01") -> Settings:
        """The settings of an installation here, with that registry."""
        from attune_ops.installation.config import resolve

        target = {"amqp_url": self.amqp_url, "management_url": self.management_url}
        return resolve(target | {"database_url": database_url, "topology": topology}, {})

    def names(self, what: str) -> set[str]:
        """The names of the queues, exchanges … here, as the management API lists them."""
        return {found["name"] for found in self.api("GET", what + "/{vhost}?disable_stats=true").json()}

    def api(self, method: str, path: str, body: Any = None, ok: tuple[int, ...] = (200, 201, 204)) -> requests.Response:
        """Calls `/api/PATH` as the broker's administrator; `{vhost}` in the path is this virtual host."""
        return self.broker.api(method, path.replace("{vhost}", self.quoted), body, ok)

    @contextmanager
    def channel(self) -> Iterator[BlockingChannel]:
        """A pika channel with publisher confirms on a connection of its own, without heartbeats: nothing serves it."""
        import pika

        from attune_ops.installation.amqp import close

        parameters = pika.URLParameters(self.amqp_url)
        parameters.heartbeat = 0
        connection = pika.BlockingConnection(parameters)
        try:
            channel = connection.channel()
            channel.confirm_delivery()
            yield channel
        finally:
            close(connection)


class Users:
    """Makes broker users; `close` deletes them."""

    def __init__(self, broker: Broker) -> None:
        self._broker = broker
        self._names: list[str] = []

    def __call__(
        self,
        vhost: Vhost,
        *,
        tags: str = "management",
        configure: str | None = ".*",
        write: str = ".*",
        read: str = ".*",
        name: str | None = None,
        password: str | None = None,
    ) -> Vhost:
        """Makes a user with these tags and permissions and returns `vhost` as that user sees it.

        `configure=None` gives no permission at all in the virtual host.
        """
        name = name or f"user-{secrets.token_hex(4)}"
        password = password or secrets.token_urlsafe(12)
        quoted = quote(name, safe="")
        self._broker.api("PUT", f"users/{quoted}", {"password": password, "tags": tags})
        self._names.append(quoted)
        if configure is not None:
            rights = {"configure": configure, "write": write, "read": read}
            self._broker.api("PUT", f"permissions/{vhost.quoted}/{quoted}", rights)
        return Vhost(vhost.broker, vhost.name, name, password)

    def close(self) -> None:
        """Deletes every user made here."""
        for name in self._names:
            self._broker.api("DELETE", f"users/{name}", ok=(204, 404))


@dataclass(frozen=True)
class Run:
    """Runs the installed `attune-ops` as a process in an environment of its own; a call may be a fork."""

    folder: Path
    base: Mapping[str, str]
    command: Path = COMMAND

    def environment(self, *targets: Vhost, env: Mapping[str, str] | None = None) -> dict[str, str]:
        """What a run gets: nothing of the caller's but what a process needs, then the targets, then `env`."""
        made = dict(self.base)
        for target in targets:
            made |= target.environment
        return made | dict(env or {})

    def __call__(
        self,
        *arguments: str | Path,
        target: Vhost | None = None,
        env: Mapping[str, str] | None = None,
        status: int | None = None,
        stdin: str | None = None,
        timeout: float = 180,
    ) -> subprocess.CompletedProcess[str]:
        """Runs `attune-ops ARGUMENTS` against `target`; `status`, where given, must be the exit status."""
        words, env = [str(a) for a in arguments], self.environment(*([target] if target else []), env=env)
        if FORKED.usable(self.command, env, stdin):
            done: subprocess.CompletedProcess[str] = FORKED(words, self.folder, env, stdin, timeout)
        else:
            done = subprocess.run(
                [str(self.command), *words],
                cwd=self.folder,
                env=env,
                input=stdin,
                stdin=subprocess.DEVNULL if stdin is None else None,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        if status is not None:
            assert done.returncode == status, f"exit status {done.returncode}\n{done.stdout}\n{done.stderr}"
        return done

    def shell(self, line: str, env: Mapping[str, str], timeout: float = 180) -> subprocess.CompletedProcess[str]:
        """Runs a line as somebody would who copies it; a fork gets the words that bash makes of it."""
        environment = self.environment(env=env)
        environment["PATH"] = f"{self.command.parent}:{environment['PATH']}"
        if ONE_COMMAND.fullmatch(line) and FORKED.usable(self.command, environment, None):
            return FORKED(words_of(line, self.folder, environment), self.folder, environment, None, timeout)
        return subprocess.run(
            ["bash", "-c", line],
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    @contextmanager
    def start(
        self, *arguments: str | Path, target: Vhost | None = None, env: Mapping[str, str] | None = None
    ) -> Iterator[subprocess.Popen[str]]:
        """Starts `attune-ops ARGUMENTS` and leaves it running; ends it when the block ends."""
        process = subprocess.Popen(
            [str(self.command), *map(str, arguments)],
            cwd=self.folder,
            env=self.environment(*([target] if target else []), env=env),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()
            try:
                process.communicate(timeout=PATIENCE_S)
            except subprocess.TimeoutExpired:
                process.kill()
                process.communicate()


def clean_environment(home: Path) -> dict[str, str]:
    """An environment that knows nothing of the caller's configuration."""
    names = ("PATH", "TMPDIR", "CI", "SYSTEMROOT", "COVERAGE_FILE", "COVERAGE_PROCESS_CONFIG")
    kept = {k: v for k, v in os.environ.items() if k in names}
    return kept | {
        "HOME": str(home),
        "XDG_STATE_HOME": str(home / "state"),
        "XDG_CONFIG_HOME": str(home / "config"),
        "XDG_CACHE_HOME": str(home / "cache"),
        "LANG": "C.UTF-8",
        "PYTHONFAULTHANDLER": "1",
    }
