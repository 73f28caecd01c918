"""No output of any command holds a secret: everything that can carry one carries one, and everything is printed.

The secrets are the passwords of the run's own URLs, and what stands in messages under names that are secret by
themselves or by the configuration. They are planted wherever somebody might have put them: in messages in several
encodings, in the registry, in a policy, in the names of connections, in the arguments of the command itself.
"""

from __future__ import annotations

import base64
import gzip
import json
from collections.abc import Iterator
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from urllib.parse import quote, unquote, urlsplit

import pika
import psycopg
import pytest

from attune_ops.cli._main import main
from tests.cli.commands import ALL, formats
from tests.live.messages.site import connect, declare_work, envelope, reject, send
from tests.unit.messages.wire import properties
from tests.world import Run, Users, Vhost

CORE = "Sekrit42x"  # stands in every secret; no output may hold it
PASSWORD = CORE + "/ü_*@%:?#\"'<&>"
TOKEN = CORE + "token"
CUSTOMER = CORE + " Lovelace"

# What needs no installation, prints what it was given, or ends only when it is told to.
ELSEWHERE = (
    "completion",
    "explain",
    "lab",
    "notebook",
    "drill",
    "config init",
    "config use",
    "topology list",
    "snapshot",
    "watch",
    "serve",
)
MORE = {
    "health broker": (), "health route": ("work", "job.1"), "health worker": ("w1",), "route": ("work", "job.1"),
    "startup": ("--worker", "w1", "--topology", "attune-0.6"),
    "messages peek": ("work",), "messages move": ("dead",), "reap": ("--grace", "0s"),
    "messages drain": ("work", "--to", "kept.jsonl", "--filter", f"$.payload.config.api_key={TOKEN}"),
    "messages restore": ("old.jsonl",), "messages tap": ("work", "--for", "1s"), "connections close": ("no such one",),
    "policy apply": ("worker-queues",), "policy remove": ("mine",),
    "history record": ("--for", "0s"), "history story": ("worker", "1"),
    "history compare": ("30d..0s", "1h..now"), "report": ("--output", "-"), "topology export": ("--live",),
    "topology check": ("attune-0.6",),
    "topology bind": ("work", "work", "job.2"), "topology unbind": ("work", "work", "job.#"),
}  # fmt: skip
EVERY_FORMAT = ("messages peek", "workers", "policy show", "doctor")  # of the others table and JSON
APPLIED = (
    "messages drain",
    "messages move",
    "messages restore",
    "reap",
    "policy apply",
    "policy remove",
    "retire",
    "topology bind",
)


def secretive(n: int) -> tuple[bytes, bytes]:
    """A message that holds every secret, in one encoding or another."""
    inner = {"api_key": TOKEN, "customer_name": CUSTOMER, "note": f"login with {PASSWORD} "}
    told = json.dumps({"deep": [inner]})
    shells = (inner, told, base64.b64encode(told.encode()).decode(), f"https://h/x?d={quote(told)}", f"bad {told} end")
    _, body = envelope(execution_id=n, config=inner, list=[{"x": shells[n % 5]}], url=f"amqp://u:{quote(PASSWORD)}@h")
    made = json.loads(body)
    headers = {"authorization": TOKEN, "x-note": f"password={TOKEN}", "x-customer-name": CUSTOMER}
    return properties(headers=headers, message_id=made["message_id"]), body if n % 7 else body[:-2]


@pytest.fixture
def place(vhost: Vhost, user: Users, database: str, run: Run) -> Iterator[Vhost]:
    """The installation as a user sees it whose password, and whose registry's, are secret."""
    own = user(vhost, tags="administrator", password=PASSWORD)
    with psycopg.connect(database, autocommit=True) as connection:
        connection.execute(
            "INSERT INTO attune.worker (id, name, host, status, capabilities, meta, last_heartbeat, cordoned, "
            "cordon_reason, cordoned_by) VALUES (1, 'w1', %(url)s, 'active', %(json)s, %(json)s, now(), true, %(s)s, "
            "%(s)s), (2, 'w2', %(s)s, 'inactive', %(json)s, %(json)s, now() - interval '1 day', false, null, null)",
            {"url": f"amqp://u:{quote(PASSWORD)}@h", "s": f"has {PASSWORD}", "json": json.dumps({"token": TOKEN})},
        )
        connection.execute(
            "INSERT INTO attune.execution (id, action_ref, status, worker, config) VALUES (1, %s, 'running', 1, %s)",
            (f"core.{PASSWORD}", json.dumps({"password": TOKEN})),
        )
    declare_work(vhost)
    vhost.api("PUT", "queues/{vhost}/worker.2.executions", {"durable": True, "arguments": {"x-note": PASSWORD}})
    policy = {"pattern": "^work$", "definition": {"dead-letter-routing-key": PASSWORD}, "apply-to": "queues"}
    vhost.api("PUT", "policies/{vhost}/mine", policy)
    ops = connect(vhost)
    send(ops, *map(secretive, range(14)))
    reject(vhost, 7)
    send(ops, *map(secretive, range(7)))
    ops.messages.drain("dead", run.folder / "old.jsonl", limit=3, apply=True)
    urls = {"amqp_url": own.amqp_url, "management_url": own.management_url, "database_url": database}
    lines = ['default_env = "secretive"', 'redact = ["customer_*", "x-customer-*"]', "[env.secretive]"]
    (run.folder / "attune-ops.toml").touch(0o600)
    (run.folder / "attune-ops.toml").write_text("\n".join([*lines, *(f'{k} = "{v}"' for k, v in urls.items())]))
    named = {"connection_name": f"amqp://u:{quote(PASSWORD)}@h of {PASSWORD}"}
    parameters = pika.URLParameters(vhost.amqp_url)
    parameters.client_properties = named
    other = pika.BlockingConnection(parameters)
    yield own
    if other.is_open:
        other.close()


def spoken(folder: Path) -> Iterator[tuple[str, str]]:
    """What is in every file that a run has left, drained messages left out: they are there to the last byte."""
    for file in folder.rglob("*"):
        if (file.is_file() and not file.name.endswith(".jsonl")) or file.name == "audit.jsonl":
            data = file.read_bytes()
            yield file.name, (gzip.decompress(data) if data[:2] == b"\x1f\x8b" else data).decode(errors="replace")


@pytest.mark.slow
def test_no_secret_in_any_output(
    place: Vhost, database: str, run: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    secrets = CORE, unquote(urlsplit(database).password or CORE)
    seen: dict[str, str] = {}
    monkeypatch.chdir(run.folder)
    for name, value in run.base.items():
        monkeypatch.setenv(name, value)

    def look(*arguments: str) -> None:
        # In this process, which has everything loaded; starting one for each would take most of the time.
        with redirect_stdout(StringIO()) as out, redirect_stderr(StringIO()) as err:
            status = main(list(arguments))
        critical = 2 if "nagios" in arguments else 1  # the status of a plug-in
        assert status in (0, 1, critical), (arguments, out.getvalue(), err.getvalue())
        seen[" ".join(arguments)] = out.getvalue() + err.getvalue()

    look("history", "record", "--for", "0s")  # what the others of `history` read
    for name, command in ALL.items():
        if not name.startswith(ELSEWHERE):
            offered = formats(command) if name in EVERY_FORMAT else formats(command)[:2]
            for format in offered or ("",):
                look(*name.split(), *MORE.get(name, ()), *form(format))
    look("snapshot", "save", "now.json.gz")
    look("snapshot", "show", "now.json.gz")
    look("report", "--output", "report.html")
    for name in APPLIED:
        look(*name.split(), *MORE.get(name, ()), "--apply", "-vv")
    look("messages", "peek", f"q {PASSWORD}", "-vv")
    seen |= {name: text for name, text in spoken(run.folder) if name != "attune-ops.toml"}
    seen |= spoken(tmp_path / "home")
    assert {"audit.jsonl", "report.html", "now.json.gz"} <= set(seen)
    leaks = {name: around(text, s) for name, text in seen.items() for s in secrets if s in text}
    assert not leaks, leaks
    assert oct((run.folder / "kept.jsonl").stat().st_mode & 0o777) == "0o600"
    assert (
        CORE in base64.b64decode(json.loads((run.folder / "kept.jsonl").read_text().splitlines()[1])["body"]).decode()
    )


def form(format: str) -> tuple[str, ...]:
    return ("--format", format) if format else ()


def around(text: str, secret: str) -> str:
    return text[max(0, text.index(secret) - 60) :][:120]
