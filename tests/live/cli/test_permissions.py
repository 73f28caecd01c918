"""docs/permissions.md is exact: users with these rights can run each command, and one right less is named."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

import pika
import pika.exceptions
import psycopg
import pytest

from attune_ops.installation.amqp import close
from tests import migrations
from tests.cli.commands import ALL
from tests.conftest import lacking
from tests.live.installation.test_releases import narrow_user
from tests.live.places import Place
from tests.postgres import Server
from tests.tmux import terminal
from tests.world import COMMAND, Broker, Run, Users, Vhost, eventually

pytestmark = pytest.mark.slow

PAGE = Path(__file__).parents[3].joinpath("docs", "permissions.md").read_text()
OWN = r"^(attune|worker)\."
NOTHING = "^$"
QUEUES = ("executions", "packs", "cancel", "packtests")
DONE = subprocess.CompletedProcess[str]


def grants(title: str) -> list[str]:
    """The statements of the page's block of that title, `{0}` for the user."""
    block = next(b for b in re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL) if b.startswith(title))
    return [s[s.index("GRANT") :].strip().replace('"attune-ops"', "{0}") for s in block.split(";") if "GRANT" in s]


def rows(heading: str) -> Iterator[tuple[str, ...]]:
    """The rows of the first table below a heading, without its head."""
    table = PAGE.partition(heading)[2].partition("\n| ---")[2].partition("\n\n")[0]
    for line in table.splitlines()[1:]:
        yield tuple(c.strip().replace(r"\|", "|") for c in re.split(r"(?<!\\)\|", line)[1:-1])


def commands(cell: str) -> list[str]:
    """The commands that a cell names."""
    return re.findall(r"`([^`]+)`", cell)


READING = grants("CREATE ROLE")
MORE = {"": [], "retiring": grants("-- retiring"), "registering": grants("-- registering")}


class Needs(NamedTuple):
    """A row of the table of commands that change something."""

    tag: str
    configure: str
    write: str
    read: str
    database: str


def changing() -> dict[str, Needs]:
    found = {}
    for command, tag, *patterns, database in rows("## Commands that change"):
        configure, write, read = (OWN if p == "`OWN`" else p.strip("`") or NOTHING for p in patterns)
        found[command.strip("`")] = Needs(tag or "monitoring", configure, write, read, database)
    return found


CHANGING = changing()
READS = {command: tag.rpartition(" ")[2].strip("`") for cell, tag, _ in rows("What each") for command in commands(cell)}
WORDS = {  # what a command needs to say something
    "health worker": "w1 --wait 20s",  # statistics of consumers are up to 10 s old
    "health route": "attune.events event.created",
    "route": "attune.events event.created",
    "explain": "NOT_FOUND",
    "report": "--output r.html --force",
    "snapshot save": "s.json.gz --force",
    "snapshot show": "s.json.gz",
    "snapshot diff": "s.json.gz s.json.gz",
    "topology show": "attune-0.6",
    "watch": "--for 1s --interval 1s",
    "history record": "--for 0s",
    "history compare": "30d..0s 1h..now",
    "history story": "worker 1",
}


class World:
    """An installation of 0.6 on the real broker and PostgreSQL, for users with few rights."""

    def __init__(self, place: Place, database: str, run: Run, users: Users) -> None:
        self.place, self.database, self.run, self._users = place, database, run, users

    def user(self, tags: str, configure: str = NOTHING, write: str = NOTHING, read: str = NOTHING) -> Vhost:
        return self._users(self.place.vhost, tags=tags, configure=configure, write=write, read=read)

    def __call__(self, line: str, user: Vhost, database: str) -> DONE:
        """Runs a command as this user of the broker and of the database."""
        # The heartbeats that the workers here would send every 30 s.
        self.sql("UPDATE attune.worker SET last_heartbeat = now() WHERE last_heartbeat > now() - interval '1 hour'")
        return self.run(*shlex.split(line), target=user, env={"ATTUNE_OPS_DATABASE_URL": database})

    def sql(self, statement: str) -> None:
        with psycopg.connect(self.database, autocommit=True) as connection:
            connection.execute(statement.encode())


@pytest.fixture
def world(postgres: Server, broker: Broker, run: Run, user: Users, tmp_path: Path) -> Iterator[World]:
    with postgres.database(migrations.RELEASE_0_6) as url, broker.vhost() as vhost:
        place = Place(vhost, tmp_path, "attune-0.6")
        place.use_registry(url)
        try:
            yield World(place.populate(), url, run, user)
        finally:
            place.close()


def unlisted(vhost: Vhost) -> set[str]:
    """The queues of the topology that have a consumer, which the broker's statistics do not show yet."""
    names = [n for n in vhost.names("queues") if re.search(OWN, n)]
    with vhost.channel() as channel:
        consumed = {n for n in names if channel.queue_declare(n, passive=True).method.consumer_count}
    return consumed - {c["queue"]["name"] for c in vhost.api("GET", "consumers/{vhost}").json()}


def test_the_page_names_commands_that_exist_and_all_that_change_something() -> None:
    named = {*READS, *CHANGING} - {"route --canary"}
    assert named <= {*ALL, "doctor"}, named - ALL.keys()
    local = ("config", "lab", "history", "snapshot", "notebook", "completion", "drill")  # these change no installation
    changes = {name for name, c in ALL.items() if "apply" in {p.name for p in c.params} and not name.startswith(local)}
    assert changes <= CHANGING.keys(), changes - CHANGING.keys()


def test_the_user_that_reads_can_run_what_reads(world: World) -> None:
    assert "set_user_tags attune-ops monitoring" in PAGE
    assert "set_permissions -p attune attune-ops '^$' '^$' '^$'" in PAGE
    user = world.user("monitoring")
    # On 4.3 this user may not count live consumers: until the statistics have them, a queue may seem to lack one.
    eventually(lambda: not unlisted(world.place.vhost))
    with narrow_user(world.database, "; ".join(READING)) as database:
        for command in READS:
            done = world(f"{command} {WORDS.get(command, '')}", user, database)
            assert done.returncode == 0, f"{command}: {done.stdout}{done.stderr}"
        report = json.loads(world("doctor --format json", user, database).stdout)
        reasons = {c["code"]: c["reason"] for c in report["checks"] if c["status"] == "skipped"}
        assert not [
            r for code, r in reasons.items() if re.search("tag|GRANT|permission", r) and code not in ("AT105", "AT117")
        ], reasons
        for line in ("messages drain attune.events.queue --to d.jsonl --apply", "retire w1", "reap"):
            world(line, user, database)
        assert world("messages peek attune.events.queue", user, database).returncode == 1  # it reads no message


def test_one_tag_less_is_named(world: World) -> None:
    with narrow_user(world.database, "; ".join(READING)) as database:
        manager, nobody = world.user("management"), world.user("")
        for command, tag in READS.items():
            if tag == "management":
                assert world(f"{command} {WORDS.get(command, '')}", manager, database).returncode == 0, command
        for command in ("doctor", "consumers", "connections list", "reap", "retire"):
            done = world(command, manager, database)
            # A passive declare needs a permission from 4.3 on, which this user does not have.
            passive = command == "consumers" and world.place.vhost.broker.version < (4, 3)
            assert done.returncode == (0 if passive else 3), command
            assert "no monitoring tag" in done.stdout + done.stderr
        for form, status in (("--lines", 0), ("--json-lines", 3)):
            done = world(f"watch {form} --for 1s --interval 1s", manager, database)
            assert done.returncode == status, done.stdout + done.stderr
        done = world("bindings", nobody, database)
        assert done.returncode == 3
        assert f"rabbitmqctl set_user_tags {nobody.user} monitoring" in done.stderr
        stranger = world._users(world.place.vhost, tags="monitoring", configure=None)
        for command in ("queues", "doctor", "messages peek attune.events.queue"):
            done = world(command, stranger, database)
            assert done.returncode in (1, 3), command
            assert "no permissions" in done.stdout + done.stderr, command


def test_the_live_view_sees_what_the_doctor_sees(world: World) -> None:
    """With the tags of the page it sees all; with one less it says what it does not see, and ends with status 3."""
    if shutil.which("tmux") is None:
        lacking("no tmux")
    assert READS["watch"] == READS["doctor"] == "monitoring"
    with narrow_user(world.database, "; ".join(READING)) as database:
        for tag, shows, status in (("monitoring", "2 of 2", 0), ("management", "no monitoring tag", 3)):
            env = world.run.environment(world.user(tag), env={"ATTUNE_OPS_DATABASE_URL": database})
            with terminal(env, 120, 40) as at:
                at.type(f"{COMMAND} watch --interval 1s; echo status=$?")
                at.shows(shows, "4 Findings", within=40)  # statistics of consumers are up to 10 s old
                at.press("q")
                at.shows(f"status={status}")


def test_one_grant_less_is_named(world: World) -> None:
    user = world.user("monitoring")
    world.sql(
        "INSERT INTO attune.execution (action_ref, status, created, updated) VALUES "
        "('core.echo', 'requested', '2026-01-01', '2026-01-01')"
    )
    for left_out, command, says in (
        (0, "workers", 'GRANT USAGE ON SCHEMA "attune"'),
        (1, "workers", 'GRANT SELECT ON "attune"."worker"'),
        (2, "doctor --only AT414 --format json", "GRANT SELECT (action_ref, created, id, started_at, status, updated"),
        (3, "doctor --only AT413 --format json", "or parked by a concurrency policy (execution_admission_entry cannot"),
    ):
        with narrow_user(world.database, "; ".join(s for i, s in enumerate(READING) if i != left_out)) as database:
            done = world(command, user, database)
            assert says in done.stdout.replace('\\"', '"') + done.stderr, f"{command}: {done.stdout}{done.stderr}"
            assert done.returncode or left_out > 1
    without = "; ".join(READING).replace("status, worker,", "status,")  # the column, not the table
    assert without != "; ".join(READING)
    with narrow_user(world.database, without) as database:
        done = world("doctor --only AT414 --format json", user, database)
        assert "the user may not read worker of" in done.stdout
        assert "older release" not in done.stdout


def test_releases_that_lack_columns(postgres: Server, place: Place, vhost: Vhost, run: Run, user: Users) -> None:
    assert "Releases before 2026-02-05 have no columns `worker` and `started_at`" in PAGE
    older = [s.replace(" worker,", "").replace(", started_at", "") for s in READING if "admission" not in s]
    with postgres.database(migrations.JANUARY) as url, narrow_user(url, "; ".join(older)) as database:
        reader = user(vhost, tags="monitoring", configure=NOTHING, write=NOTHING, read=NOTHING)
        run("workers", target=reader, env={"ATTUNE_OPS_DATABASE_URL": database}, status=0)
        done = run("doctor", "--only", "AT414", "--all", target=reader, env={"ATTUNE_OPS_DATABASE_URL": database})
        assert "no column worker" in done.stdout


def before(world: World, command: str) -> str:
    """Prepares what the command changes; the words to run it with."""
    vhost = world.place.vhost
    if command in ("messages peek", "messages drain", "messages move"):
        world.place.publish("attune.events", "example", 1)
    if command == "topology apply":
        vhost.api("DELETE", "queues/{vhost}/attune.pack.tests.queue", ok=(204, 404))
    if command == "topology unbind":
        body = {"routing_key": "x"}
        vhost.api("POST", "bindings/{vhost}/e/attune.events/q/attune.dlx.queue", body)
    if command == "reap":
        with vhost.channel() as channel:
            for name in QUEUES:
                more = {"x-message-ttl": 300_000} if name == "executions" else {}
                arguments = {"x-dead-letter-exchange": "attune.dlx", **more}
                channel.queue_declare(f"worker.9.{name}", durable=True, arguments=arguments)
            channel.basic_publish("", "worker.9.packs", b"{}")
    if command == "retire":
        world.sql(
            "DELETE FROM attune.worker WHERE name = 'dead'; INSERT INTO attune.worker (name, worker_type, worker_role, "
            "last_heartbeat, created) VALUES ('dead', 'local', 'action', '2026-01-01', '2026-01-01')"
        )
    if command == "startup":
        world.sql("DELETE FROM attune.worker WHERE name = 'new'")
    if command == "policy remove":
        vhost.api("PUT", "policies/{vhost}/worker-queues", {"pattern": "^worker", "definition": {"expires": 3_600_000}})
    return {
        "messages peek": "attune.events.queue",
        "messages tap": "attune.events --for 1s",
        "messages drain": "attune.events.queue --to d.jsonl --apply",
        "messages restore": "d.jsonl --again --apply",
        "messages move": "attune.events.queue attune.dlx.queue --apply",
        "topology apply": "--apply",
        "topology bind": "attune.events attune.dlx.queue x --apply",
        "topology unbind": "attune.events attune.dlx.queue x --apply",
        "reap": "worker.9.* --grace 0s --apply",
        "retire": "dead --apply",
        "startup": "--worker new",
        "policy apply": "worker-queues --expires 1h --apply",
        "policy remove": "worker-queues --apply",
        "connections close": "victim --apply",
        "route --canary": "attune.events event.created",
    }[command]


def fewer(needs: Needs) -> Iterator[tuple[Needs, str]]:
    """The same rights without one of them, and what must be said then."""
    for right in ("configure", "write", "read"):
        if getattr(needs, right) != NOTHING:
            rights = needs._asdict() | {right: NOTHING}
            yield Needs(**rights), f"needs? [^.]*{right}|{right} access"
    if needs.tag != "monitoring":
        yield needs._replace(tag="monitoring"), needs.tag


@pytest.mark.parametrize("command", [c for c in CHANGING if c != "connections close"])
def test_a_command_that_changes_something(world: World, command: str) -> None:
    """Without one of its rights it fails and names it; with them it is done."""
    needs = CHANGING[command]
    if command == "messages restore":
        world.place.publish("attune.events", "example", 1)
        world("messages drain attune.events.queue --to d.jsonl --apply", world.place.vhost, world.database)
    statements = READING + MORE[needs.database]
    with narrow_user(world.database, "; ".join(statements)) as database:
        for less, says in fewer(needs):
            done = world(f"{command} {before(world, command)}", world.user(*less[:4]), database)
            assert done.returncode in (1, 3), f"{less}: {done.stdout}{done.stderr}"
            assert re.search(says, done.stdout + done.stderr), f"{less}: {done.stdout}{done.stderr}"
            assert "wrong user or password" not in done.stdout + done.stderr
            if command == "reap" and less.configure == NOTHING:  # the messages are in a file by then
                assert "1 message saved: attune-ops messages restore" in done.stdout
        user = world.user(*needs[:4])
        words = f"{command} {before(world, command)}"
        done = world(words, user, database)
        if "1 unacknowledged message" in done.stdout:  # of the run before, by statistics that are up to 10 s old
            done = eventually(
                lambda: "unacknowledged" not in (again := world(words, user, database)).stdout and again, every=1
            )
        assert done.returncode == 0, f"{done.stdout}{done.stderr}"
        if command == "reap":
            assert "worker.9.packs" not in world.place.vhost.names("queues"), done.stdout
    for statement in MORE[needs.database]:
        found = re.fullmatch(r"GRANT (.*?) ON (.*) TO \{0\}", statement)
        assert found is not None
        for right in re.findall(r"[A-Z]+(?: \(.*?\))?", found[1]):
            rest = [r for r in re.findall(r"[A-Z]+(?: \(.*?\))?", found[1]) if r != right]
            fewer_grants = [s for s in statements if s != statement]
            fewer_grants += [f"GRANT {', '.join(rest)} ON {found[2]} TO {{0}}"] if rest else []
            with narrow_user(world.database, "; ".join(fewer_grants)) as database:
                done = world(f"{command} {before(world, command)}", user, database)
            failed = done.returncode == 1 or "remains: worker" in done.stdout  # without DELETE its row remains
            assert failed, f"without {right} on {found[2]}: {done.stdout}{done.stderr}"
            table = found[2].rpartition(".")[2]
            assert re.search(rf"permission denied for (table|sequence) {table}", done.stdout + done.stderr)


def test_closing_the_connection_of_another_user(world: World) -> None:
    parameters = pika.URLParameters(world.place.vhost.amqp_url)
    parameters.client_properties = {"connection_name": "victim"}
    victim = pika.BlockingConnection(parameters)
    reader = world.user("monitoring")
    eventually(lambda: "victim" in world("connections list", reader, world.database).stdout, within=20, every=1)
    with narrow_user(world.database, "; ".join(READING)) as database:
        done = world("connections close victim --apply", world.user("monitoring"), database)
        assert done.returncode == 3
        assert "administrator" in done.stderr
        victim.process_data_events(0)
        done = world("connections close victim --apply", world.user("administrator"), database)
        assert done.returncode == 0, done.stdout + done.stderr
    with pytest.raises(pika.exceptions.AMQPError):
        victim.process_data_events(2)
    close(victim)
