"""`attune-ops history` as processes on a real broker: recorded, killed, interrupted, and while the broker is away."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import groupby
from pathlib import Path

import msgspec
import pyarrow.parquet as pq
import pytest

from attune_ops.lab import Lab
from attune_ops.monitoring.history_read import NOBODY, period, recorded
from attune_ops.monitoring.recorder import Recorder
from attune_ops.ops import Ops
from tests.live.places import Place
from tests.world import Run, eventually

CONFIRMED = re.compile(r"^recorded (\S+), \d+ rows: ", re.MULTILINE)

STORE = "s3://u:Sekrit42x@bucket/x?endpoint_override=127.0.0.1:1&scheme=http&region=us-east-1"  # nothing listens there
GOOGLES = "gs://anonymous@bucket/x?scheme=http&endpoint_override=127.0.0.1:1"


@pytest.fixture
def here(place: Callable[..., Place]) -> Place:
    return place().populate()


def confirmed(text: str) -> list[str]:
    return [time.replace("Z", "+00:00") for time in CONFIRMED.findall(text)]


def on_disk(folder: Path) -> list[str]:
    rows = pq.read_table(folder).to_pylist()
    return sorted(r["time"].isoformat(timespec="microseconds") for r in rows if r["kind"] == "reading")


def test_two_processes_one_killed_one_interrupted(here: Place, run: Run, tmp_path: Path) -> None:
    folder, ops = tmp_path / "h", Ops(here.settings)
    eventually(lambda: ops.queues(pattern="worker.1.executions").column("consumers") == (1,), within=30)
    words = ("history", "record", "--folder", folder, "--interval", "500ms")
    with (
        run.start(*words, env=here.environment) as killed,
        run.start(*words, env=here.environment) as interrupted,
    ):
        here.publish("attune.events", "event.created", 7)
        eventually(lambda: folder.exists() and len(on_disk(folder)) >= 6, within=60)
        os.kill(killed.pid, signal.SIGKILL)
        interrupted.send_signal(signal.SIGINT)
        said = [process.communicate(timeout=60)[1] for process in (killed, interrupted)]
    assert interrupted.returncode == 0, said[1]
    assert "ended after" in said[1]
    times = sorted(confirmed(said[0]) + confirmed(said[1]))
    assert len(times) >= 5
    there = on_disk(folder)
    assert set(times) <= set(there)
    assert len(there) <= len(times) + 1, "at most the reading that was killed before its line"
    assert len(there) == len(set(there))

    def shown(*more: str) -> dict[str, dict[str, object]]:
        made = run("history", *more, "--folder", folder, "--format", "json", env=here.environment, status=0)
        rows = json.loads(made.stdout)["rows"]
        return {str(next(iter(r.values()))): r for r in rows}

    queues = shown("show")
    assert queues["attune.events.queue"]["most"] == 7
    assert queues["worker.1.executions"]["consumers"] == 1
    assert set(shown("show", "--worker", "w1")) == {"worker.1.executions"}
    assert shown("show", "--of", "workers")["w1"]["state"] == "ready"
    few = shown("show", "--columns", "queue,full_in")["attune.events.queue"]
    assert few == {"queue": "attune.events.queue", "full_in_ms": None}
    (node,) = shown("show", "--of", "nodes").values()
    assert isinstance(node["disk_free"], int)
    told = run("history", "story", "worker", "w1", "--folder", folder, "--format", "json", env=here.environment)
    events = {r["event"]: r["detail"] for r in json.loads(told.stdout)["rows"]}
    assert "declared, bound, consumed" in events["recording begins"]
    password = here.settings.amqp.password.reveal()
    assert password not in "".join(said) + str(pq.read_table(folder).to_pylist())


def test_while_the_broker_is_away(here: Place, tmp_path: Path) -> None:
    """Another port stands for a broker that is stopped: connections are refused."""
    there, folder = here.settings, str(tmp_path / "h")
    away = msgspec.structs.replace(
        there,
        amqp=msgspec.structs.replace(there.amqp, port=1),
        management=msgspec.structs.replace(there.management, port=1),
    )
    recorder = Recorder(there, folder, interval=1)
    recorder.add(Ops(there).facts())
    recorder.add(Ops(away).facts())
    recorder.add(Ops(away).facts())
    here.publish("attune.events", "event.created", 3)
    eventually(lambda: (Ops(there).facts().actual.queue_named["attune.events.queue"].messages or 0) == 3, within=20)
    recorder.add(Ops(there).facts())
    recorder.close()
    (gap,) = (g for g in recorded(there, folder).readings(period("1h")).gaps if g.until)
    assert "refused" in gap.reason
    made = Ops(there).history.show("attune.events.queue", since="1h", folder=folder)
    assert sorted(made.frame["messages"]) == [0, 3], "two readings: none for the time in between"
    (row,) = made.table.records()
    assert "·" in str(row["trend"])
    still = Ops(away).history.show(since="1h", folder=folder)
    assert any("the only recorded one is shown" in note for note in still.table.notes)


@pytest.mark.slow
def test_a_broker_that_restarts_leaves_a_gap(own_lab: Lab, run: Run, tmp_path: Path) -> None:
    state, folder = own_lab.state, tmp_path / "h"
    env = {"ATTUNE_OPS_AMQP_URL": state.amqp_url, "ATTUNE_OPS_MANAGEMENT_URL": state.management_url}
    node = state.nodes[0].name
    with run.start("history", "record", "--folder", folder, "--interval", "500ms", env=env) as recorder:
        eventually(lambda: folder.exists() and len(on_disk(folder)) >= 3, within=60)
        own_lab.kill_node(node)
        eventually(lambda: "failed" in states(folder), within=60)
        own_lab.start_node(node)
        eventually(lambda: states(folder)[-1] != "failed", within=60)
        recorder.send_signal(signal.SIGINT)
        said = recorder.communicate(timeout=60)[1]
    assert recorder.returncode == 0, said
    assert ", 1 rows: failed: " in said
    assert len(confirmed(said)) == len(on_disk(folder))
    rows = pq.read_table(folder).to_pylist()
    failed = {r["time"] for r in rows if r["kind"] == "reading" and r["state"] == "failed"}
    assert not [r for r in rows if r["time"] in failed and r["kind"] != "reading"], "nothing is invented"
    gaps = json.loads(run("history", "show", "--of", "gaps", "--folder", folder, "--format", "json", env=env).stdout)
    # On a busy machine a reading may be late, which is a gap too, and the broker may fail again while it starts.
    reasons = [g["reason"] for g in gaps["rows"] if g["until"] and g["reason"] != NOBODY]
    periods = [is_failed for is_failed, _ in groupby(states(folder), "failed".__eq__)]
    assert len(reasons) == sum(periods[:-1]) >= 1
    (cluster,) = folder.glob("cluster=*")
    assert cluster.name == f"cluster=attune-ops-lab-{own_lab.name}-{state.created:%Y%m%dT%H%M%S}"


def states(folder: Path) -> list[str]:
    """Of the readings, in the order of their times."""
    rows = [r for r in pq.read_table(folder).to_pylist() if r["kind"] == "reading"]
    return [r["state"] for r in sorted(rows, key=lambda r: r["time"])]


def test_errors_are_one_line(here: Place, run: Run, tmp_path: Path) -> None:
    theirs, file = tmp_path / "theirs", tmp_path / "file"
    theirs.mkdir()
    (theirs / "data.parquet").write_bytes(b"PAR1")
    file.write_text("x")
    full = "ulimit -f 0; attune-ops history record --for 5s --interval 1s --folder full"
    expected = (
        (f"attune-ops history record --for 0s --folder {theirs}", 2, "which is no history"),
        (f"attune-ops history record --for 0s --folder {file}", 2, "a file; a history is a folder"),
        (f"attune-ops history show --folder {tmp_path}/none", 2, "nothing is recorded yet"),
        ("attune-ops history record --for 0s --folder /proc/history", 2, "cannot write the history"),
        (full, 1, "cannot write the history"),
        ("attune-ops history record --for 0s --management-url http://127.0.0.1:1 --folder new", 3, "refused"),
        ("attune-ops history show --since soon --folder new", 2, "nothing is recorded yet"),
        (f"attune-ops history show --folder '{STORE}'", 3, "cannot read the history"),
        (f"attune-ops history record --for 0s --folder '{STORE}'", 3, "cannot read the history"),
        (f"attune-ops history prune --timeout 1s --folder '{GOOGLES}'", 3, "cannot read the history"),
        ("attune-ops history show --folder 's3://bucket/x?zone=1'", 2, "Unexpected query parameter"),
        ("unshare --user --net attune-ops history show --folder s3://bucket/x", 3, "resolving region for bucket"),
    )
    with ThreadPoolExecutor() as pool:  # the libraries of the object stores wait and try again
        made = [pool.submit(run.shell, line, here.environment) for line, _, _ in expected]
    for (line, status, said), future in zip(expected, made, strict=True):
        done = future.result()
        if done.stderr.startswith("unshare"):
            continue  # not permitted here
        assert done.returncode == status, f"{line}: {done.stderr}"
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert said in done.stderr, done.stderr
        assert "Traceback" not in done.stderr
        assert "Sekrit42x" not in done.stderr
    assert not (run.folder / "new").exists()
    without = "import sys; sys.modules['pyarrow'] = None\nfrom attune_ops.cli._main import main\n"
    done = subprocess.run(
        [str(run.command.parent / "python"), "-c", f"{without}sys.exit(main(['history', 'show']))"],
        env={**os.environ, **here.environment}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, "install the extra history" in done.stderr) == (2, True), done.stderr
