"""`attune-ops route` as a process, from files: no broker is needed, and none is asked."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from attune_ops.model.facts import Source
from attune_ops.model.snapshot_file import save_facts
from tests.cli.described import described
from tests.unit.facts import facts
from tests.world import Run

VHOSTS: dict[str, Any] = {
    "rabbit_version": "3.10.8",
    "vhosts": [{"name": "/"}, {"name": "b"}],
    "exchanges": [
        {"vhost": v, "name": n, "type": t, "durable": True, "auto_delete": False, "internal": False, "arguments": {}}
        for v, n, t in (("/", "work", "topic"), ("/", "dlx", "direct"), ("b", "work", "headers"))
    ],
    "queues": [
        {"vhost": v, "name": n, "durable": True, "auto_delete": False, "arguments": a}
        for v, n, a in (("/", "jobs", {"x-dead-letter-exchange": "dlx"}), ("/", "grave", {}), ("b", "jobs", {}))
    ],
    "bindings": [
        {"vhost": v, "source": s, "destination": d, "destination_type": "queue", "routing_key": k, "arguments": a}
        for v, s, d, k, a in (
            ("/", "work", "jobs", "job.#", {}), ("/", "dlx", "grave", "job.1", {}), ("b", "work", "jobs", "", {"n": 3}),
        )
    ],
    "policies": [],
}  # fmt: skip


@pytest.fixture
def definitions(tmp_path: Path) -> Path:
    file = tmp_path / "definitions.json"
    file.write_text(json.dumps(VHOSTS))
    return file


def test_one_answer(run: Run, definitions: Path) -> None:
    done = run("route", "work", "job.1", "--from", definitions, "--vhost", "/", "--format", "json", status=0)
    answer = json.loads(done.stdout)
    assert done.stderr == ""
    assert answer["schema"] == "attune-ops/route/1"
    assert (answer["queues"], answer["unroutable"], answer["via_alternate"]) == (["jobs"], False, False)
    assert answer["path"][0].items() >= {
        "exchange": "work", "binding_key": "job.#", "destination_kind": "queue", "destination": "jobs",
    }.items()  # fmt: skip


def test_a_dead_letter(run: Run, definitions: Path) -> None:
    options = (
        "--dead-letter",
        "jobs",
        "--reason",
        "expired",
        "--from",
        definitions,
        "--vhost",
        "/",
        "--format",
        "json",
    )
    answer = json.loads(run("route", "job.1", *options, status=0).stdout)
    assert (answer["exchange"], answer["queues"], len(answer["hops"])) == ("dlx", ["grave"], 1)


def test_the_only_virtual_host_that_is_not_empty(run: Run, tmp_path: Path) -> None:
    """It is taken and named, whether it is / or another one."""
    parts = {k: [o for o in VHOSTS[k] if o["vhost"] == "b"] for k in ("exchanges", "queues", "bindings")}
    (tmp_path / "b.json").write_text(json.dumps(VHOSTS | parts))
    done = run(
        "route", "work", "", "--headers", '{"n": 3}', "--from", tmp_path / "b.json", "--format", "json", status=0
    )
    assert json.loads(done.stdout)["queues"] == ["jobs"]
    assert done.stderr.endswith("b.json: virtual host 'b', the only one of 2 that is not empty\n")


def test_headers_and_another_virtual_host(run: Run, definitions: Path) -> None:
    options = ("--from", definitions, "--vhost", "b", "--format", "json")
    typed = json.loads(run("route", "work", "", "--headers", '{"n": 3}', *options, status=0).stdout)
    text = json.loads(run("route", "work", "", "--header", "n=3", *options, status=0).stdout)
    assert (typed["queues"], text["queues"]) == (["jobs"], [])


@pytest.mark.parametrize(
    ("arguments", "status", "says"),
    [
        (["nope", "k"], 2, "it has several virtual hosts, give --vhost: '/', 'b'"),
        (["nope", "k", "--vhost", "/"], 1, ""),
        (["work"], 2, "give EXCHANGE and KEY"),
        ([], 2, "give EXCHANGE and KEY"),
        (["work", "k", "--vhost", "c"], 2, "no virtual host 'c'; it has '/', 'b'"),
        (["work", "k", "--canary"], 2, "--canary proves one publish on the live broker; omit --from"),
        (["--batch", "-", "--canary"], 2, "omit --batch"),
        (["--dead-letter", "jobs", "k", "--canary"], 2, "omit --dead-letter"),
        (["work", "k", "--header", "n"], 2, "NAME=VALUE"),
        (["work", "k", "--headers", "[1]"], 2, "not a JSON object"),
        (["work", "k", "--batch", "-"], 2, "--batch reads its questions from the file"),
        (["--batch", "/nowhere.jsonl"], 2, "/nowhere.jsonl"),
        (["--dead-letter", "jobs"], 2, "KEY"),
        (["--dead-letter", "jobs", "--reason", "boredom", "k"], 2, "boredom"),
        (["--dead-letter", "gone", "k", "--vhost", "b"], 1, ""),
    ],
)
def test_wrong_questions(run: Run, definitions: Path, arguments: list[str], status: int, says: str) -> None:
    done = run("route", "--from", definitions, *arguments, status=status)
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_a_batch_loses_no_line(run: Run, definitions: Path) -> None:
    questions: list[Any] = [
        {"exchange": "work", "routing_key": "job.1"},
        "no question",
        {"vhost": "b", "exchange": "work", "routing_key": "", "headers": {"n": 3}},
        {"dead_letter": "jobs", "reason": "rejected", "routing_key": "job.1"},
        {"exchange": "gone", "routing_key": ""},
    ]
    lines = "\n".join(q if isinstance(q, str) else json.dumps(q) for q in questions)
    done = run("route", "--from", definitions, "--batch", "-", stdin=lines, status=1)
    answers = [json.loads(line) for line in done.stdout.splitlines()]
    for answer in answers:
        described(answer)
    assert [a.get("queues") for a in answers] == [["jobs"], None, ["jobs"], ["grave"], []]
    assert (answers[1]["line"], answers[4]["error"]["code"]) == (2, 404)
    assert done.stderr == "attune-ops: 1 line could not be answered\n"


def test_a_file_without_a_name_is_of_any_virtual_host(run: Run, tmp_path: Path) -> None:
    """As 3.10 exports one virtual host."""
    (tmp_path / "one.json").write_text(
        json.dumps(
            {
                "exchanges": [{"name": "x", "type": "fanout"}],
                "queues": [{"name": "q"}],
                "bindings": [{"source": "x", "destination": "q", "destination_type": "queue", "routing_key": ""}],
            }
        )
    )
    lines = '{"vhost": "attune", "exchange": "x", "routing_key": "k"}\n{"exchange": "x", "routing_key": "k"}\n'
    done = run("route", "--from", tmp_path / "one.json", "--batch", "-", stdin=lines, status=0)
    assert [json.loads(line)["queues"] for line in done.stdout.splitlines()] == [["q"], ["q"]]


MEASURED = """
import resource, subprocess, sys
subprocess.run(sys.argv[1:], check=True)
used = resource.getrusage(resource.RUSAGE_CHILDREN)
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
"""


def test_a_hundred_thousand_lines_over_ten_thousand_bindings(run: Run, tmp_path: Path) -> None:
    """At most 10 s of processor time, loading included, and memory that does not grow with the lines."""
    names = [f"worker.{i}.executions" for i in range(10_000)]
    world = {
        "exchanges": [{"name": "e", "type": "topic"}],
        "queues": [{"name": n} for n in names],
        "bindings": [
            {"source": "e", "destination": n, "routing_key": f"execution.*.worker.{i}" if i % 2 else f"#.worker.{i}"}
            for i, n in enumerate(names)
        ],
        "policies": [],
    }
    (tmp_path / "many.json").write_text(json.dumps(world))
    with (tmp_path / "many.jsonl").open("w") as file:
        for i in range(100_000):
            file.write(f'{{"exchange": "e", "routing_key": "execution.dispatch.worker.{i % 12_000}"}}\n')
    answers = tmp_path / "answers.jsonl"
    with answers.open("w") as file:
        words = [str(run.command), "route", "--from", "many.json", "--batch", "many.jsonl"]
        small = [sys.executable, "-c", MEASURED, *words]  # a child begins with its parent's memory as its peak
        done = subprocess.run(
            small, cwd=tmp_path, env=run.environment(), stdout=file, stderr=subprocess.PIPE, check=True, text=True
        )
    seconds, kilobytes = done.stderr.split()
    told = answers.read_text()
    assert told.count("\n") == 100_000
    assert told.count('"unroutable":true') == 16_000
    assert float(seconds) < 10
    assert int(kilobytes) < 400_000


def test_a_snapshot_without_a_listing_gives_no_route(run: Run, tmp_path: Path) -> None:
    """What could not be read is not empty: the message would seem to be unroutable."""
    whole, why = facts(), "no answer within 10 s"
    cases: tuple[tuple[dict[str, Any], int, str], ...] = (
        ({"bindings": None, "policies": ()}, 2, f"no route is known without the bindings of the broker: {why}"),
        ({"queues": None}, 2, f"without the queues, policies of the broker: {why}"),
        ({"policies": ()}, 0, f"the broker was not read completely: {why}"),
        ({}, 0, "without policies; alternate and dead-letter exchanges that they set are left out"),
    )
    for n, (changes, status, said) in enumerate(cases):
        part = msgspec.structs.replace(
            whole,
            broker=msgspec.structs.replace(whole.actual, **changes),
            missing={Source.BROKER: why},
        )
        save_facts(part, str(tmp_path / f"{n}"))
        done = run("route", "attune.events", "event.created", "--from", tmp_path / f"{n}", status=status)
        assert said in done.stderr
