"""The record of orphaned queues keeps between runs exactly what it was given, for its owner only."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from attune_ops.cleanup.candidates import history
from attune_ops.installation.config import Settings, resolve
from attune_ops.model.errors import ActionError
from attune_ops.model.files import state_folder

SINCE = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "not" / "there"))
    return resolve({"amqp_url": "amqp://someone:secret@localhost:5672/%2F"}, {})


def file(settings: Settings) -> Path:
    return state_folder("reap", f"{settings.amqp.file_name}.json")


def test_a_later_run_finds_what_an_earlier_one_left(settings: Settings) -> None:
    with history(settings) as record:
        assert record == {}
        record["worker.1.executions"] = SINCE
        record["worker.2.executions"] = SINCE + timedelta(hours=1)
    assert file(settings).stat().st_mode & 0o777 == 0o600
    with history(settings) as record:
        assert record == {"worker.1.executions": SINCE, "worker.2.executions": SINCE + timedelta(hours=1)}
        del record["worker.1.executions"]  # the file gets shorter
    with history(settings) as record:
        assert record == {"worker.2.executions": SINCE + timedelta(hours=1)}


@pytest.mark.parametrize("spoilt", [b"", b"{", b'{"queue": "yesterday"}', b'{"\xff": "2026-01-02T03:04:05Z"}'])
def test_a_record_that_cannot_be_decoded_starts_the_grace_period_again(settings: Settings, spoilt: bytes) -> None:
    with history(settings):
        pass
    file(settings).write_bytes(spoilt)
    with history(settings) as record:
        assert record == {}
        record["a"] = SINCE
    with history(settings) as record:
        assert record == {"a": SINCE}


def test_a_record_that_cannot_be_written_is_said(settings: Settings) -> None:
    file(settings).mkdir(parents=True)
    with pytest.raises(ActionError, match=r"cannot write '.*reap.*', the record of queues orphaned"), history(settings):
        pass
