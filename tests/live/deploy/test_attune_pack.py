"""The actions of the pack for Attune, run as its worker runs them: JSON on standard input, JSON on standard output."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.live.places import Place

PACK = Path(__file__).parents[3] / "deploy" / "attune-pack"
Act = Callable[..., tuple[int, Any]]


@pytest.fixture
def here(place: Callable[..., Place]) -> Place:
    return place().populate()


@pytest.fixture
def act(here: Place, tmp_path: Path) -> Act:
    """`act("doctor", only="AT401")` runs an action with these parameters, and with no others."""

    def run(action: str, environment: dict[str, str] | None = None, **parameters: object) -> tuple[int, Any]:
        described = yaml.safe_load((PACK / "actions" / f"{action}.yaml").read_text())
        assert parameters.keys() <= described["parameters"].keys()
        done = subprocess.run(
            [sys.executable, PACK / "actions" / described["entry_point"]],
            input=f"{json.dumps(parameters)}\n" if parameters else "",
            capture_output=True, text=True, check=False, cwd=tmp_path, timeout=60,
            env=os.environ | here.environment | {"ATTUNE_ACTION": described["ref"]} | (environment or {}),
        )  # fmt: skip
        return done.returncode, json.loads(done.stdout) if done.stdout else done.stderr

    return run


class Events:
    """The part of Attune's API that creates events."""

    def __init__(self, status: int) -> None:
        self.got: list[tuple[str, str | None, Any]] = []
        got = self.got

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
                got.append((self.path, self.headers["Authorization"], body))
                self.send_response(status)
                self.end_headers()

            def log_message(self, *_: object) -> None:
                pass

        self._server = HTTPServer(("127.0.0.1", 0), Handler)
        self.environment = {
            "ATTUNE_API_URL": f"http://127.0.0.1:{self._server.server_port}/", "ATTUNE_API_TOKEN": "token"
        }  # fmt: skip
        threading.Thread(target=self._server.serve_forever, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(params=[201, 403])
def events(request: pytest.FixtureRequest) -> Iterator[Events]:
    made = Events(request.param)
    yield made
    made.close()


def test_healthy_then_a_queue_is_deleted(here: Place, act: Act, events: Events) -> None:
    status, report = act("doctor", fail_on="error-only")
    assert (status, report["schema"]) == (0, "attune-ops/doctor/1")
    with here.vhost.channel() as channel:
        channel.queue_delete("worker.1.executions")
    status, report = act("doctor", events.environment, raise_alerts=True)
    assert status == 1
    errors = [f for f in report["findings"] if f["severity"] == "error"]
    path, token, body = events.got[0]
    assert (path, token, body["trigger_ref"]) == ("/api/v1/events", "Bearer token", "core.alert")
    assert body["payload"]["failure_type"] == errors[0]["code"]
    assert body["payload"].keys() >= {"severity", "category", "component_type", "observed_at", "summary"}
    raised, error = report["alerts"]["raised"], report["alerts"]["error"]
    assert (raised == len(errors) and error is None) if raised else "403" in error


def test_orphans_and_reap(here: Place, act: Act, tmp_path: Path) -> None:
    assert act("orphans")[1]["rows"] == []
    status, reaped = act("reap", state_folder=str(tmp_path / "state"))
    assert (status, reaped["queues"], reaped["applied"]) == (0, [], False)
    assert act("reap", grace="soon", state_folder=str(tmp_path))[0] == 2
    # A pattern that looks like an option stays a pattern: nothing is deleted by it.
    assert act("reap", pattern="--apply", state_folder=str(tmp_path))[0] == 0
