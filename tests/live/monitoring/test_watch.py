"""The live view as a person uses it: in a terminal of two sizes, on a real broker that goes away and comes back."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pika
import pytest

from attune_ops.lab import Lab
from attune_ops.ops import connect
from tests.cli.described import described
from tests.conftest import lacking
from tests.live.places import stopped_worker
from tests.tmux import Terminal, terminal
from tests.world import COMMAND, Broker, Run, Vhost, eventually

ORPHAN, OTHER = "worker.1.executions", "worker.2.executions"
SIZES = [(80, 24), (200, 60)]
GRAYS = {*range(232, 256), 0, 7, 8, 15, 16, 59, 102, 145, 188, 231}  # of the 256 colours


@pytest.fixture
def here(module_lab: Lab, run: Run, tmp_path: Path) -> Iterator[tuple[Vhost, dict[str, str]]]:
    """A virtual host with two orphaned queues of 7 and 3 messages, and the environment that points there."""
    if shutil.which("tmux") is None:
        lacking("no tmux")
    with Broker(module_lab.state.amqp_url, module_lab.state.management_url).vhost() as made:
        url = f"sqlite:///{tmp_path / 'registry.sqlite'}"
        ops = connect(amqp_url=made.amqp_url, management_url=made.management_url, database_url=url)
        for worker in ("w1", "w2"):
            stopped_worker(ops.settings, worker)
        with made.channel() as channel:
            for queue, count in ((ORPHAN, 7), (OTHER, 3)):
                channel.queue_declare(queue, durable=True)
                for _ in range(count):
                    channel.basic_publish("", queue, b"{}", pika.BasicProperties(delivery_mode=2))
        env = {"ATTUNE_OPS_DATABASE_URL": url, "ATTUNE_OPS_TOPOLOGY": "attune-2026-01"}
        yield made, run.environment(made, env=env)


def row(shown: str, name: str) -> str:
    return next(line for line in shown.splitlines() if name in line)


def below(shown: str, first: str, second: str) -> bool:
    return shown.index(first) < shown.index(second)


def start(at: Terminal, *words: str) -> None:
    at.type(" ".join((f"{COMMAND} watch --interval 1s", *words)) + "; echo status=$?")
    at.shows("workers ready", "orphaned queues", "1 Workers 2", "Quit")


@pytest.mark.parametrize(("width", "height"), SIZES)
def test_filter_sort_detail_and_reap(here: tuple[Vhost, dict[str, str]], width: int, height: int) -> None:
    vhost, env = here
    with terminal(env, width, height) as at:
        start(at, "--topology", "attune-2026-01")  # the commands have the options that chose the installation
        at.press("2")
        eventually(lambda: re.search(rf"{ORPHAN} +7 ", at.text), within=30)
        at.press("/")
        at.press("e", "x", "e", "c", "Space", "w", "2")
        at.shows("worker.2.executions", "filter 'exec w2'", lacks=(ORPHAN,))
        at.press("Escape")
        at.shows(ORPHAN, OTHER)
        at.press("s", "s", "s")
        shown = at.shows("sorted by messages, from large to small", "messages ▼")
        assert below(shown, ORPHAN, OTHER)
        at.press("S")
        assert below(at.shows("from small to large", "messages ▲"), OTHER, ORPHAN)
        narrow, wide = SIZES
        other = wide if (width, height) == narrow else narrow
        at.resize(*other)
        at.shows("ready", "type", "unacked") if other == wide else at.shows(ORPHAN, lacks=("unacked  ", "type  "))
        assert max(map(len, at.text.splitlines())) <= other[0]
        at.resize(width, height)
        at.shows(OTHER, "Quit")

        at.press("3")
        at.shows("! orphaned")
        at.press("Home")
        at.press("Enter")
        at.shows(
            f"queue {ORPHAN}",
            "7 ready, 0 unacknowledged",
            "AT407",
            "$ attune-ops --topology attune-2026-01 reap",
            "bindings",
        )
        at.press("x")
        at.shows("dry run: nothing was changed", "deletes", "Apply")
        assert vhost.names("queues") == {ORPHAN, OTHER}
        at.press("Escape")
        at.shows(f"queue {ORPHAN}", lacks=("dry run",))
        assert vhost.names("queues") == {ORPHAN, OTHER}
        at.press("x")
        at.shows("dry run: nothing was changed")
        at.press("a")
        shown = at.shows("done", "deleted", "7 messages saved", "messages restore")
        assert vhost.names("queues") == {OTHER}
        (saved,) = Path(env["XDG_STATE_HOME"]).rglob(f"{ORPHAN}.jsonl")
        assert len(saved.read_text().splitlines()) >= 7
        at.press("Escape")
        at.shows(f"queue {ORPHAN}", "missing on the broker")
        at.press("Escape")
        at.shows("3 Orphans 1")
        at.press("p")
        at.shows("paused")
        at.press("?")
        at.shows("help", "worst first")
        at.press("q")
        at.shows("status=0", lacks=("Quit",))
        at.type("stty -a")
        at.shows(" icanon", " echo ", lacks=("-icanon", "-echo "))


def test_a_protected_environment_is_confirmed_by_its_name(here: tuple[Vhost, dict[str, str]], tmp_path: Path) -> None:
    """What is typed goes to the confirmation; a wrong name changes nothing and can be corrected."""
    vhost, env = here
    file = tmp_path / "attune-ops.toml"
    lines = {"amqp_url": vhost.amqp_url, "management_url": vhost.management_url,
             "database_url": env["ATTUNE_OPS_DATABASE_URL"]}  # fmt: skip
    written = "\n".join(f"{name} = {json.dumps(value)}" for name, value in lines.items())
    file.write_text(f"[env.prod]\n{written}\nprotected = true\n")
    own = {name: value for name, value in env.items() if not name.endswith("_URL")}
    with terminal({**own, "NO_COLOR": "1", "ATTUNE_OPS_CONFIG": str(file), "ATTUNE_OPS_ENV": "prod"}, 80, 24) as at:
        start(at)
        at.press("3")
        at.shows("! orphaned", OTHER)
        at.press("End")
        cursor = rf"\x1b\[(?:\d+;)*7m[^\n]*{OTHER}"  # reverse: no colour shows where it is
        eventually(lambda: re.search(cursor, at.tmux("capture-pane", "-e", "-p", "-t", "a")))
        at.press("x")
        at.shows(f"Reap the orphaned queue {OTHER}", "dry run: nothing was changed", "type the environment's name")
        at.press(*"pro", "Enter")
        at.shows("nothing was changed: 'pro' is not 'prod'")
        assert vhost.names("queues") == {ORPHAN, OTHER}
        at.press("d", "Enter")
        at.shows("done", "3 messages saved")
        assert vhost.names("queues") == {ORPHAN}
        at.press("Escape")
        at.press("C-c")
        at.shows("status=130")


def test_survives_a_restart_of_the_broker(here: tuple[Vhost, dict[str, str]], module_lab: Lab) -> None:
    vhost, env = here
    node = module_lab.state.node.name
    with terminal({**env, "NO_COLOR": "1"}, 80, 24) as at:
        start(at)
        at.press("2")
        eventually(lambda: re.search(rf"{ORPHAN} +7 ", at.text), within=30)
        module_lab.stop_node(node)
        try:
            shown = at.shows("× broker away since", "old", within=40)
            assert re.search(rf"{ORPHAN} +7 ", shown), "the last values stay"
            at.press("3")
            at.shows("! orphaned")
            at.press("x")
            at.shows("the broker is away: no change now")
        finally:
            module_lab.start_node(node)
        at.shows("orphaned queues", "3 Orphans 2", within=60, lacks=("broker away",))
        with vhost.channel() as channel:
            channel.queue_purge(OTHER)
        at.press("2")
        eventually(lambda: re.search(rf"{OTHER} +0 ", at.text), within=30)
        used = {int(n) for n in re.findall(r"[34]8;5;(\d+)", at.tmux("capture-pane", "-e", "-p", "-t", "a"))}
        assert used <= GRAYS, "NO_COLOR"
        at.press("C-c")
        at.shows("status=130", "interrupted")


def test_a_broker_that_never_answered_and_sigterm(run: Run) -> None:
    """The first reading fails: the view says why and keeps trying; SIGTERM restores the terminal."""
    if shutil.which("tmux") is None:
        lacking("no tmux")
    url = "amqp://u:hunter2secret@127.0.0.1:1/%2F"
    env = run.environment(env={"ATTUNE_OPS_AMQP_URL": url, "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:2"})
    with terminal(env, 80, 24) as at:
        start_line = f"bash -c 'echo $$ > pid; exec {COMMAND} watch --interval 1s'; echo status=$?"
        at.type(f"cd {run.folder}; {start_line}")
        shown = at.shows("× broker away since", "unknown")
        assert "hunter2secret" not in shown
        at.type("")
        at.press("4")
        at.shows("AT101")
        subprocess.run(["kill", "-TERM", (run.folder / "pid").read_text().strip()], check=True)
        at.shows("status=3", lacks=("broker away",))
        at.type("stty -a")
        at.shows(" icanon", lacks=("-icanon",))


def test_in_a_pipe(here: tuple[Vhost, dict[str, str]], run: Run) -> None:
    vhost, env = here
    ours = {"ATTUNE_OPS_DATABASE_URL": env["ATTUNE_OPS_DATABASE_URL"]}
    eventually(lambda: vhost.api("GET", f"queues/{vhost.quoted}/{ORPHAN}").json().get("messages") == 7)
    words = ("watch", "--interval", "500ms", "--for", "5s")
    done = run(*words, target=vhost, env=ours, status=0)
    assert re.fullmatch(r"(\d\d:\d\d:\d\dZ 10 messages in 2 queues\n){2,}", done.stdout)
    with vhost.channel() as channel:
        channel.queue_purge(ORPHAN)
        channel.basic_get(OTHER, auto_ack=True)
        channel.basic_get(OTHER, auto_ack=True)
    one = lambda: run(*words, target=vhost, env=ours, status=0).stdout.endswith("Z 1 message in 1 queue\n")  # noqa: E731
    eventually(one, within=60)
    done = run(*words, "--json-lines", target=vhost, env=ours, status=0)
    first, *others = map(json.loads, done.stdout.splitlines())
    assert others
    expected = {
        "schema": "attune-ops/watch/1", "reason": None, "messages": 1, "ready": 1, "queues": 2, "orphaned_queues": 2,
        "workers": 2, "workers_ready": 0, "unacknowledged": 0,
    }  # fmt: skip
    assert {k: first[k] for k in expected} == expected
    described(first)
    assert "exclude each other" in run(*words, "--json-lines", "--lines", target=vhost, status=2).stderr


def test_without_textual(here: tuple[Vhost, dict[str, str]], tmp_path: Path) -> None:
    """At a terminal one line names the extra; --lines works."""
    _, env = here
    hide = "import sys, importlib.util as u; f = u.find_spec"
    hide += "; u.find_spec = lambda name, *a: None if name == 'textual' else f(name, *a)"
    script = tmp_path / "without.py"
    script.write_text(f"{hide}\nfrom attune_ops.__main__ import main\nsys.exit(main())\n")
    with terminal(env, 120, 24) as at:
        at.type(f"{sys.executable} {script} watch; echo status=$?")
        at.shows("install the extra monitoring", "status=2")
        at.type(f"{sys.executable} {script} watch --lines --for 1s --interval 1s; echo again=$?")
        at.shows("messages in", "again=0")
