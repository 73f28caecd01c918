"""Bad input through the real command: one clear line on stderr, the right exit status, no traceback, no password."""

from __future__ import annotations

import math
import secrets
import signal
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from urllib.parse import quote

import pytest

import attune_ops
from attune_ops.model.errors import ConfigError
from tests.servers import forward, server
from tests.world import Broker, Run, Users, Vhost, eventually

PASSWORD = "hunter2/ü@%:?#"
ENCODED = quote(PASSWORD, safe="")


@dataclass(frozen=True)
class Complaint:
    """What a run left behind, once it is sure that the password is not in it."""

    line: str


@pytest.fixture
def fails(run: Run) -> Callable[..., Complaint]:
    """Runs the command, also with -vv, and makes sure of everything that holds for any bad input."""

    def check(*arguments: str, status: int = 3, target: Vhost | None = None, secret: str = PASSWORD) -> Complaint:
        done = run(*arguments, target=target, status=status)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1, done.stderr
        assert done.stderr.startswith("attune-ops: ")
        assert "Traceback" not in done.stderr
        assert "a bug" not in done.stderr
        said = done.stderr
        if arguments[0] != "queues":  # the same code as in the other commands: once is enough
            loud = run(*arguments, "-vv", target=target, status=status)
            assert status == 2 or "Traceback" in loud.stderr
            said += loud.stdout + loud.stderr
        assert not [s for s in (secret, quote(secret, safe=""), quote(secret)) if s in said]
        return Complaint(done.stderr)

    return check


Fails = Callable[..., Complaint]


@contextmanager
def answering(answer: bytes, keep_open: bool = False, asked: threading.Event | None = None) -> Iterator[int]:
    """A port that answers every request with these bytes and hangs up, or then says nothing more.

    `asked` is set by the first request.
    """
    over = threading.Event()

    def talk(client: socket.socket) -> None:
        client.recv(65536)
        if asked is not None:
            asked.set()
        client.sendall(answer)
        if keep_open:
            over.wait()

    with server(talk) as port:
        try:
            yield port
        finally:
            over.set()


@pytest.fixture
def closed_port() -> Iterator[int]:
    """A port that nobody listens on and nobody else can take."""
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        yield held.getsockname()[1]


def both(amqp: object, management: object, vhost: str = "%2f", user: str = "u") -> tuple[str, ...]:
    """The options that point at two ports of this host."""
    return (
        "--amqp-url", f"amqp://{user}:{ENCODED}@127.0.0.1:{amqp}/{vhost}",
        "--management-url", f"http://127.0.0.1:{management}",
    )  # fmt: skip


COMMANDS = (("queues",), ("health", "broker"))
each_command = pytest.mark.parametrize("command", COMMANDS, ids=" ".join)


@each_command
def test_unreachable_host(fails: Fails, command: tuple[str, ...]) -> None:
    url = f"amqp://u:{ENCODED}@no-such-host.invalid"
    said = fails(*command, "--amqp-url", url)
    assert "u:***@no-such-host.invalid" in said.line
    assert "host name 'no-such-host.invalid' is unknown; check its spelling" in said.line


@each_command
def test_refused_port(fails: Fails, command: tuple[str, ...], closed_port: int) -> None:
    said = fails(*command, *both(closed_port, closed_port))
    assert f"u:***@127.0.0.1:{closed_port}" in said.line
    assert "connection refused; check that the broker is running and the port is correct" in said.line


def test_management_plugin_off(fails: Fails, broker: Broker, closed_port: int) -> None:
    amqp = broker.amqp_address.rpartition(":")[2]
    said = fails("health", "broker", *both(amqp, closed_port))
    assert "(rabbitmq-plugins enable rabbitmq_management)" in said.line


@pytest.mark.parametrize(
    "answer", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"SSH-2.0-OpenSSH_9.2\r\n", b"", b"\x01", b"AMQP\x00\x01\x00\x00"]
)
def test_a_port_that_is_not_amqp(fails: Fails, broker: Broker, answer: bytes) -> None:
    with answering(answer) as port:
        said = fails("health", "broker", *both(port, broker.management_address.rpartition(":")[2]))
    assert f"amqp://u:***@127.0.0.1:{port}/%2F (virtual host '/')" in said.line
    assert "does not speak AMQP" in said.line


def test_the_management_port_is_not_amqp(fails: Fails, broker: Broker) -> None:
    port = broker.management_address.rpartition(":")[2]
    assert "does not speak AMQP" in fails("health", "broker", *both(port, port)).line


@each_command
def test_the_amqp_port_is_not_the_management_api(fails: Fails, broker: Broker, command: tuple[str, ...]) -> None:
    port = broker.amqp_address.rpartition(":")[2]
    said = fails(*command, *both(port, port))
    assert "the port is correct (default 15672)" in said.line or "does not speak HTTP" in said.line


@each_command
def test_wrong_password(fails: Fails, broker: Broker, vhost: Vhost, user: Users, command: tuple[str, ...]) -> None:
    known = user(vhost)
    amqp, management = (a.rpartition(":")[2] for a in (broker.amqp_address, broker.management_address))
    said = fails(*command, *both(amqp, management, vhost.quoted, known.user))
    assert f"wrong user or password for user '{known.user}'" in said.line


@each_command
def test_missing_virtual_host(fails: Fails, vhost: Vhost, user: Users, command: tuple[str, ...]) -> None:
    known = user(vhost, tags="administrator")
    missing = Vhost(vhost.broker, "no/such vhost", known.user, known.password)
    said = fails(*command, target=missing, secret=known.password)
    assert "virtual host 'no/such vhost' is missing" in said.line


@each_command
def test_virtual_host_without_permission(fails: Fails, vhost: Vhost, user: Users, command: tuple[str, ...]) -> None:
    stranger = user(vhost, tags="monitoring", configure=None)
    said = fails(*command, target=stranger, secret=stranger.password)
    assert f"user '{stranger.user}' has no permissions in it" in said.line


@pytest.mark.parametrize("command", [("bindings",), ("health", "broker")], ids=" ".join)
def test_no_management_tag(fails: Fails, vhost: Vhost, user: Users, command: tuple[str, ...]) -> None:
    untagged = user(vhost, tags="")
    said = fails(*command, target=untagged, secret=untagged.password)
    assert f"'{untagged.user}' has no management tag; rabbitmqctl set_user_tags" in said.line


PAGE = b"<!doctype html><html><body>Sign in</body></html>"
LENGTH = b"Content-Length: %d\r\n\r\n"


def response(body: bytes, head: bytes = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n") -> bytes:
    return head + LENGTH % len(body) + body


JSON = b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\n"
NOT_THE_API = {
    "a page": (response(PAGE), "a web page: a proxy or another server answers there"),
    "an error page": (response(PAGE, b"HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/html\r\n"), "a web page"),
    "a page that says it is JSON": (response(PAGE, JSON), "a web page"),
    "a redirect": (b"HTTP/1.1 302 Found\r\nLocation: https://sso.example/\r\n" + LENGTH % 0, "it redirects to"),
    "half an answer": (JSON + LENGTH % 5000 + b'{"rabbitmq_version"', "incomplete"),
    "half a JSON": (response(b'[{"name": "q', JSON), "incomplete"),
    "half a header": (b"HTTP/1.1 200 OK\r\nContent-", "incomplete"),
    "half a chunk": (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nff\r\n[", "incomplete"),
    "nothing": (b"", "incomplete"),
    "another JSON": (response(b'"hello"', JSON), "in an unknown form"),
    "no HTTP": (b"SSH-2.0-OpenSSH_9.2\r\n", "does not speak HTTP"),
    "another API": (response(b'{"message": "no"}', b"HTTP/1.1 404 Not Found\r\n"), "answered 404"),
}


@pytest.mark.parametrize("kind", NOT_THE_API)
@each_command
def test_something_else_answers(fails: Fails, broker: Broker, command: tuple[str, ...], kind: str) -> None:
    answer, says = NOT_THE_API[kind]
    with answering(answer) as port:
        said = fails(*command, *both(broker.amqp_address.rpartition(":")[2], port))
    assert f"management API http://u:***@127.0.0.1:{port}" in said.line
    assert says in said.line


@each_command
def test_an_answer_that_never_ends(fails: Fails, run: Run, broker: Broker, command: tuple[str, ...]) -> None:
    amqp = broker.amqp_address.rpartition(":")[2]
    with answering(JSON + LENGTH % 500 + b"{", keep_open=True) as port:
        (run.folder / "attune-ops.toml").write_text(
            f'[env.slow]\namqp_url = "amqp://u:{ENCODED}@127.0.0.1:{amqp}"\n'
            f'management_url = "http://127.0.0.1:{port}"\ntimeout = 0.5\n'
        )
        said = fails(*command, "--env", "slow")
    assert "no answer within 0.5 s; check host, port and firewall" in said.line


@each_command
def test_tls_where_there_is_none(fails: Fails, broker: Broker, command: tuple[str, ...]) -> None:
    options = both(broker.amqp_address.rpartition(":")[2], 1)[:2]
    said = fails(*command, *options, "--management-url", f"https://{broker.management_address}")
    assert "does not speak TLS; try http:// instead of https://" in said.line


def test_amqps_where_there_is_none(fails: Fails, broker: Broker) -> None:
    url = f"amqps://u:{ENCODED}@{broker.amqp_address}"
    said = fails("health", "broker", "--amqp-url", url, "--management-url", f"http://{broker.management_address}")
    assert "does not speak TLS; try amqp:// instead of amqps://" in said.line


@pytest.mark.parametrize("spelling", ["", "/", "//", "/%2f", "/%2F"])
def test_spellings_of_the_default_virtual_host(run: Run, broker: Broker, spelling: str) -> None:
    admin = Vhost(broker, "/", broker.user, broker.password)
    url = admin.amqp_url.removesuffix("/%2F") + spelling
    run("exchanges", "--amqp-url", url, "--management-url", broker.management_url, status=0)
    done = run("health", "broker", "--amqp-url", url, "--management-url", broker.management_url, status=0)
    assert "virtual host '/' is up" in done.stdout


AWKWARD = ["with space", "a/b", "quo\"te's", "<script>", "🐇", "..", "ä" * 127 + "x", "new\nline", "%2F", "a?b#c"]


@pytest.mark.parametrize("name", AWKWARD, ids=ascii)
def test_awkward_virtual_hosts(run: Run, broker: Broker, name: str) -> None:
    unique = name if len(name.encode()) == 255 else f"{name}-{secrets.token_hex(4)}"
    with broker.vhost(unique) as made:
        run("queues", target=made, status=0)
        assert run("health", "broker", target=made, status=0).stdout.count("\n") == 1


@pytest.mark.parametrize("password", ["p@ss:w/ord?#%", "пароль", "🐇" * 20, " ", "a+b c", "'\"\\$`"], ids=ascii)
def test_awkward_passwords(run: Run, vhost: Vhost, user: Users, password: str) -> None:
    known = user(vhost, tags="monitoring", password=password, name=None)
    done = run("queues", target=known, status=0)
    run("health", "broker", target=known, status=0)
    if len(password) > 1:
        assert password not in done.stdout + done.stderr


def test_ipv6(run: Run, broker: Broker) -> None:
    """The lab listens on 127.0.0.1, so a small relay gives it an address in brackets."""
    admin = Vhost(broker, "/", broker.user, broker.password)
    login = admin.amqp_url.partition("://")[2].rpartition("@")[0]
    with ExitStack() as relays:
        try:
            amqp, management = (
                relays.enter_context(server(partial(forward, address=address), "::1"))
                for address in (broker.amqp_address, broker.management_address)
            )
        except OSError:
            pytest.skip("this host has no IPv6 loopback")
        options = ("--amqp-url", f"amqp://{login}@[::1]:{amqp}/", "--management-url", f"http://[::1]:{management}")
        assert "broker [::1]:" in run("health", "broker", *options, status=0).stdout
        run("exchanges", *options, status=0)


@pytest.mark.parametrize("command", ["queues", "health broker", "config show", "workers"])
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (("--topology", "attune-1999"), "unknown topology 'attune-1999'; use attune-0.6, attune-2026-01"),
        (("--topology", "./gone.toml"), "cannot read the topology file: No such file or directory"),
        (("--amqp-url", "localhost:5672"), "not a URL; it must begin with amqp:// or amqps://"),
        (("--amqp-url", f"amqp://u:{PASSWORD}@h"), "must be percent-encoded"),
        (("--config", "gone.toml"), "cannot read the configuration file: No such file or directory"),
        (("--env", "prod"), "no configuration file found: neither attune-ops.toml in this folder nor"),
        (("--no-such-option",), "No such option"),
    ],
)
def test_wrong_command_line(fails: Fails, vhost: Vhost, command: str, options: tuple[str, ...], says: str) -> None:
    assert says in fails(*command.split(), *options, status=2, target=vhost).line


@pytest.mark.parametrize("time", ["0", "0s", "2d"])
def test_the_doctor_at_no_interval(fails: Fails, vhost: Vhost, time: str) -> None:
    line = fails("doctor", f"--interval={time}", status=2, target=vhost).line
    assert "the interval is 1 s to 1 day" in line


@pytest.mark.parametrize(
    "options",
    [(f"--interval={time}", "--for=1s") for time in ("0", "0s", "1ms", "-1s", "nan", "inf", "9" * 30 + "h")]
    + [("--for=" + "9" * 400,)],
)
@pytest.mark.parametrize("command", ["watch", "history record"])
def test_at_no_interval(fails: Fails, vhost: Vhost, command: str, options: tuple[str, ...]) -> None:
    line = fails(*command.split(), *options, status=2, target=vhost).line
    assert "the interval is 0.5 s or more, and no time is longer than a year" in line or "not a duration" in line


@pytest.mark.parametrize("interval", [0.0, -1.0, math.nan, math.inf])
def test_at_no_interval_from_python(vhost: Vhost, interval: float) -> None:
    ops = attune_ops.connect(amqp_url=vhost.amqp_url, management_url=vhost.management_url)
    with pytest.raises(ConfigError, match=r"the interval is 0.5 s or more"):
        ops.history.record(seconds=1, interval=interval)


def test_unknown_step(fails: Fails, vhost: Vhost) -> None:
    said = fails("startup", "--skip", "declair", status=2, target=vhost)
    assert "'declair' is not one of 'connect', 'setup', 'register', 'declare', 'bind', 'consume', 'ready'" in said.line


@pytest.mark.parametrize("loud", [(), ("-vv",)], ids=["quiet", "-vv"])
def test_no_configure_permission(run: Run, vhost: Vhost, user: Users, loud: tuple[str, ...]) -> None:
    """The start-up shows its steps, so the one clear line stands among them on stdout."""
    lesser = user(vhost, configure="^$", password=PASSWORD)
    env = {"ATTUNE_OPS_DATABASE_URL": f"sqlite:///{run.folder}/registry.sqlite", "ATTUNE_OPS_TOPOLOGY": "attune-0.6"}
    done = run("startup", *loud, target=lesser, env=env, status=1)
    failed = [line for line in done.stdout.splitlines() if "ACCESS_REFUSED" in line]
    assert len(failed) == 1
    assert f"for user '{lesser.user}'" in failed[0]
    assert "permission: configure" in done.stdout or "need configure" in done.stdout
    assert "Traceback" not in done.stdout + done.stderr
    assert not [s for s in (PASSWORD, ENCODED) if s in done.stdout + done.stderr]


def test_no_installation(fails: Fails) -> None:
    assert "no installation given" in fails("queues", status=2).line


def test_an_argument_too_many_shows_no_password(fails: Fails) -> None:
    fails("health", "broker", f"amqp://u:{ENCODED}@host", status=2)
    fails("health", "broker", f"amqp://u:{PASSWORD}@host", status=2)


@pytest.mark.parametrize("command", ["queues", "doctor", "health broker"])
def test_interrupted_while_nobody_answers(run: Run, command: str) -> None:
    asked = threading.Event()
    with (
        answering(b"", keep_open=True, asked=asked) as port,
        run.start("--timeout", "120s", *command.split(), *both(port, port)) as process,
    ):
        assert asked.wait(60)
        assert process.poll() is None
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)  # and not the 120 s of a timeout
    assert (process.returncode, out, err.strip()) == (130, "", "attune-ops: interrupted")


def test_no_password_in_the_list_of_processes(run: Run) -> None:
    with answering(b"", keep_open=True) as port:
        options = ("--amqp-url", f"amqp://u:{ENCODED}@127.0.0.1:{port}", f"--database-url=postgresql://d:{ENCODED}@h/d")
        with run.start("health", "broker", *options) as process:
            title = Path(f"/proc/{process.pid}/cmdline")
            if not title.exists():
                pytest.skip("only Linux lets a process write over its own arguments")
            eventually(lambda: b"amqp://u:*" in (now := title.read_bytes()) and b"postgresql://d:*" in now, within=10)
            assert ENCODED.encode() not in title.read_bytes()
