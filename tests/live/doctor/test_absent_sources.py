"""What the doctor says where it cannot see everything of a real broker: nothing is ok that was not looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.live.places import SEPTEMBER, Place
from tests.world import Run, Users, eventually

# What a file of one virtual host says something about: what is declared, where it is routed, the topology itself.
DECLARED = {f"AT20{n}" for n in range(1, 10)} - {"AT203"} | {"AT214", "AT412"}
ROUTED = {"AT301", "AT302", "AT303", "AT305"}
DESIGN = {f"AT6{n:02}" for n in range(1, 13)} | {"AT703"}
POLICIES = {"AT203", "AT211", "AT212", "AT213", "AT306", "AT705"}

OTHERS_CLIENTS = {"AT114", "AT117", "AT118", "AT215", "AT304", "AT307", "AT406", "AT408", "AT410", "AT415", "AT417",
                  "AT502", "AT503", "AT505"}  # fmt: skip
NODES = {"AT110", "AT111", "AT113"}
WORKERS = {"AT118", "AT401", "AT402", "AT403", "AT406", "AT407", "AT409", "AT410", "AT411", "AT413", "AT414", "AT415",
           "AT416", "AT418", "AT503"}  # fmt: skip


def by_status(run: Run, *options: str | Path, env: dict[str, str] | None = None) -> dict[str, dict[str, Any]]:
    """The checks that ran and those that were skipped, each with its reason, by code."""
    report = json.loads(run("doctor", *options, "--format", "json", env=env).stdout)
    found: dict[str, dict[str, Any]] = {"ran": {}, "skipped": {}}
    for check in report["checks"]:
        found["skipped" if check["status"] == "skipped" else "ran"][check["code"]] = check["reason"]
    assert all(found["skipped"].values()), "each is skipped with a reason"
    return found


def test_only_what_was_read_is_ok(place: Callable[..., Place], user: Users, run: Run, tmp_path: Path) -> None:
    p = place(SEPTEMBER).populate()
    exported = p.vhost.api("GET", "definitions/{vhost}").json()
    whole, bare = tmp_path / "whole.json", tmp_path / "bare.json"
    whole.write_text(json.dumps(exported))
    bare.write_text(json.dumps({k: exported[k] for k in ("exchanges", "queues", "bindings")}))
    files = {path: by_status(run, "--from", path) for path in (whole, bare)}
    newest = {"AT704"} if p.vhost.broker.version >= (4, 3) else set()  # there is no later version to look at
    assert files[whole]["ran"].keys() == DECLARED | ROUTED | DESIGN | POLICIES | {"AT108"} | newest
    assert files[bare]["ran"].keys() == DECLARED | ROUTED | DESIGN
    assert "the broker's version is unknown" in files[bare]["skipped"]["AT108"]
    assert {files[bare]["skipped"][code] for code in POLICIES} == {"the policies are unknown: the file has none listed"}
    assert "no message counts" in files[whole]["skipped"]["AT507"]
    assert "no message counts" in files[whole]["skipped"]["AT509"]

    blind = by_status(run, env=p.environment | user(p.vhost, tags="management").environment)
    assert blind["skipped"].keys() >= OTHERS_CLIENTS | NODES | {"AT105"}
    assert blind["ran"].keys() >= DECLARED | ROUTED | POLICIES

    over_amqp = by_status(run, env=p.environment | {"ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.1:1"})
    asked_by_passive_declare = {"AT201", "AT202", "AT214", "AT401", "AT403", "AT404", "AT501"}
    of_the_registry = {"AT409", "AT411", "AT416"}
    reached = {"AT101", "AT102", "AT103", "AT109"}
    assert over_amqp["ran"].keys() == asked_by_passive_declare | of_the_registry | reached | DESIGN

    def listed() -> bool:
        named = {c["queue"]["name"][:9] for c in p.vhost.api("GET", "consumers/{vhost}").json()}
        return named >= {"worker.1.", "worker.2."}

    eventually(listed)
    alone = by_status(run, env={k: v for k, v in p.environment.items() if "DATABASE" not in k})
    assert alone["skipped"].keys() >= WORKERS
    assert alone["ran"].keys() >= DECLARED | ROUTED | POLICIES
