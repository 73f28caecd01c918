"""Workers that died are set to inactive, those that live are not, in both kinds of registry."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attune_ops.installation import audit
from attune_ops.installation.registry_write import heartbeat, register, retire
from attune_ops.model.errors import ActionError
from attune_ops.model.registry import Worker
from attune_ops.ops import Ops
from tests.live.places import Place
from tests.world import eventually

OLD = "UPDATE {} SET last_heartbeat = '2026-01-01 00:00:00+00:00' WHERE name IN ('w2', 'gone', 'cut off')"


@pytest.fixture(autouse=True)
def state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


def verdicts(ops: Ops, pattern: str = "*", apply: bool = False) -> dict[object, object]:
    done = ops.retire(pattern, apply=apply)
    return dict(zip(done.column("name"), done.column("verdict"), strict=True))


def populated(p: Place) -> Ops:
    """A live worker, one without heartbeat that consumes, and one that died."""
    p.populate()
    database = p.settings.database
    assert database is not None
    register(database, "gone")
    if database.kind == "sqlite":
        p.sql(OLD.format("worker"))
    else:
        import psycopg

        with psycopg.connect(p.database, autocommit=True) as connection:
            connection.execute(OLD.format("attune.worker"))
    ops = Ops(p.settings)
    eventually(lambda: verdicts(ops) == {"w1": "kept", "w2": "kept", "gone": "retires"})
    return ops


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_died_is_retired(kind: str, place: Callable[..., Place], request: pytest.FixtureRequest) -> None:
    p = place()
    if kind == "postgresql":
        p.use_registry(request.getfixturevalue("database"))
    ops = populated(p)
    assert verdicts(ops, "w*", apply=True) == {"w1": "kept", "w2": "kept"}
    assert verdicts(ops, "*", apply=True)["gone"] == "retired"
    assert verdicts(ops) == {"w1": "kept", "w2": "kept"}, "it is not running any more"
    assert [e.result for e in audit.entries()] == ["started", "done"]
    database = p.settings.database
    assert database is not None
    assert register(database, "gone").known, "a start brings it back"
    assert verdicts(ops)["gone"] == "kept"


@pytest.mark.parametrize("kind", ["sqlite", "postgresql"])
def test_who_comes_back_meanwhile_is_kept(
    kind: str, place: Callable[..., Place], request: pytest.FixtureRequest
) -> None:
    p = place()
    if kind == "postgresql":
        p.use_registry(request.getfixturevalue("database"))
    database = p.settings.database
    assert database is not None
    made = register(database, "w")
    seen = Worker(made.id, "w", last_heartbeat=datetime.now(UTC) - timedelta(hours=1))
    heartbeat(database, made.id)
    with pytest.raises(ActionError, match="has sent a heartbeat since; nothing was changed"):
        retire(database, seen)
    with pytest.raises(ActionError, match="no worker 99 any more"):
        retire(database, Worker(99, "x"))
    found = Ops(p.settings).workers()
    assert found.column("status") == ("active",)
