"""`%attune COMMAND` in IPython, on a real broker: the same objects as from `Ops`."""

from __future__ import annotations

import pytest
from IPython.core.interactiveshell import InteractiveShell

from attune_ops.doctor.findings import Report
from attune_ops.model.table import Table
from tests.world import Vhost


@pytest.fixture
def shell(monkeypatch: pytest.MonkeyPatch, vhost: Vhost) -> InteractiveShell:
    for name, value in vhost.environment.items():
        monkeypatch.setenv(name, value)
    made: InteractiveShell = InteractiveShell()  # type: ignore[no-untyped-call]
    made.run_line_magic("load_ext", "attune_ops")
    return made


def test_the_magic_returns_what_ops_returns(
    shell: InteractiveShell, vhost: Vhost, capsys: pytest.CaptureFixture[str]
) -> None:
    vhost.api("PUT", "queues/{vhost}/attune.test", {})
    queues = shell.run_line_magic("attune", "queues 'attune.*' --limit 1")
    assert isinstance(queues, Table)
    assert queues["name"] == ("attune.test",)
    report = shell.run_line_magic("attune", "doctor --only AT101")
    assert isinstance(report, Report)
    assert report.ok
    assert capsys.readouterr().out == ""


def test_a_wrong_line_is_one_sentence(shell: InteractiveShell, capsys: pytest.CaptureFixture[str]) -> None:
    for line, says in (("quues", "did you mean 'queues'?"), ("queues 'open", "No closing quotation")):
        assert shell.run_line_magic("attune", line) is None
        err = capsys.readouterr().err
        assert says in err
        assert err.count("\n") == 1
    assert shell.run_line_magic("attune", "exchanges --json") is None
    assert '"schema": "attune-ops/table/1"' in capsys.readouterr().out
