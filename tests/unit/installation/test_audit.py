"""Every change leaves two lines in the journal and no secret; a protected environment wants its name."""

from __future__ import annotations

import fcntl
import json
import stat
import threading
import time
from pathlib import Path

import msgspec
import pytest

from attune_ops.installation import audit
from attune_ops.installation.config import Settings, resolve
from attune_ops.model.errors import ActionError, ConfigError

PASSWORD = "s3cr/et pw"


@pytest.fixture
def settings(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Settings:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))
    return resolve({"amqp_url": "amqp://ops:s3cr%2Fet%20pw@broker/attune"}, {})


def test_a_change_is_journaled_before_and_after(settings: Settings) -> None:
    with audit.change(settings, "messages drain", "q", to="f") as outcome:
        assert [e.result for e in audit.entries()] == ["started"]
        outcome["messages"] = 3
    start, end = audit.entries()
    assert (start.result, end.result) == ("started", "done")
    assert start.change == end.change
    assert (end.what, end.subject, end.detail, end.outcome) == ("messages drain", "q", {"to": "f"}, {"messages": 3})
    assert end.who
    assert end.broker == "amqp://ops:***@broker:5672/attune"
    assert stat.S_IMODE(audit.log_file().stat().st_mode) == 0o600


def test_no_secret_reaches_the_journal(settings: Settings) -> None:
    with pytest.raises(ActionError), audit.change(settings, "x", PASSWORD, token="abc", note=f"with {PASSWORD}"):
        raise ActionError(f"login with {PASSWORD} at amqp://u:other@h failed")
    text = audit.log_file().read_text()
    assert PASSWORD not in text
    assert "other" not in text
    assert "abc" not in text
    assert [json.loads(line)["result"] for line in text.splitlines()] == ["started", "failed"]


def test_an_interrupted_change_says_so(settings: Settings) -> None:
    with pytest.raises(KeyboardInterrupt), audit.change(settings, "x", "q"):
        raise KeyboardInterrupt
    assert [e.result for e in audit.entries()] == ["started", "interrupted"]


def test_a_process_that_keeps_the_file_locked_holds_no_command_up(settings: Settings) -> None:
    with audit.change(settings, "x", "q"):
        pass
    with audit.log_file().open("ab") as other:
        fcntl.flock(other, fcntl.LOCK_EX)
        ends = threading.Timer(10, fcntl.flock, (other, fcntl.LOCK_UN))
        ends.start()
        began = time.monotonic()
        with audit.change(settings, "y", "q"):
            pass
        took = time.monotonic() - began
        ends.cancel()
    assert took < 5
    assert [e.what for e in audit.entries()] == ["x", "x", "y", "y"]


def test_a_line_that_a_crash_cut_off_spoils_no_other(settings: Settings) -> None:
    with audit.change(settings, "x", "q"):
        pass
    with audit.log_file().open("ab") as journal:
        journal.write(b'{"change": "half')
    with audit.change(settings, "y", "q"):
        pass
    assert [e.what for e in audit.entries()] == ["x", "x", "y", "y"]


def test_nothing_is_changed_without_a_journal(settings: Settings, tmp_path: Path) -> None:
    (tmp_path / "attune-ops").write_text("a file where the folder should be")
    with pytest.raises(ActionError, match="nothing was changed"), audit.change(settings, "x", "q"):
        pytest.fail("the change was made")


@pytest.mark.parametrize("typed", [None, "", "staging", "Production", "production "])
def test_a_protected_environment_wants_its_name(settings: Settings, typed: str | None) -> None:
    protected = msgspec.structs.replace(settings, env="production", protected=True)
    with pytest.raises(ConfigError, match="protected"), audit.change(protected, "x", "q", confirm=typed):
        pytest.fail("the change was made")
    assert list(audit.entries()) == []
    with audit.change(protected, "x", "q", confirm="production"):
        pass
