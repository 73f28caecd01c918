"""A call of `attune-ops` by a fork is what a new process is."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.forked import Forked
from tests.terminal import printed
from tests.world import COMMAND, FORKED, clean_environment, eventually

pytestmark = pytest.mark.skipif("COVERAGE_FILE" in os.environ, reason="while coverage is measured nothing is forked")

FILE = '{"source": {"kind": "'


@pytest.fixture(scope="module")
def forked() -> Iterator[Forked]:
    made = Forked(COMMAND)
    yield made
    made.close()


@pytest.mark.parametrize(
    ("words", "stdin"),
    [
        (["--version"], None),
        (["queues", "--help"], None),
        (["no-such-command"], None),
        (["topology", "show", "attune-2026-09", "--format", "json"], None),
        (["queues", "--from", "half.json"], None),
        (["route", "--topology", "attune-0.6", "--batch", "-"], '{"exchange": "", "routing_key": "q"}\n' * 100),
        (["config", "show"], None),
        ([], None),
    ],
)
def test_does_what_a_new_process_does(forked: Forked, words: list[str], stdin: str | None, tmp_path: Path) -> None:
    (tmp_path / "half.json").write_text(FILE)
    env = clean_environment(tmp_path) | {"ATTUNE_OPS_AMQP_URL": "amqp://u:p@127.0.0.1:1/v", "COLUMNS": "60"}
    assert forked.usable(COMMAND, env, stdin)
    mine = forked(words, tmp_path, env, stdin, 60)
    new = subprocess.run(
        mine.args, cwd=tmp_path, env=env, input=stdin, stdin=None if stdin else subprocess.DEVNULL, capture_output=True,
        text=True, check=False,
    )  # fmt: skip
    assert (mine.returncode, mine.stdout, mine.stderr) == (new.returncode, new.stdout, new.stderr)


def test_at_a_terminal_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    env = clean_environment(tmp_path) | {"ATTUNE_OPS_AMQP_URL": "amqp://u:p@127.0.0.1:1/v"}
    for words in (["topology", "show", "attune-0.6"], ["queues"]):
        shown = [printed([COMMAND, *words], env, width=70, cwd=tmp_path, stream=s) for s in ("stdout", "stderr")]
        with monkeypatch.context() as patched:
            patched.setattr(FORKED, "usable", lambda *_: False)
            new = [printed([COMMAND, *words], env, width=70, cwd=tmp_path, stream=s) for s in ("stdout", "stderr")]
        assert [(p.raw, p.status) for p in shown] == [(p.raw, p.status) for p in new]
        assert words == ["queues"] or "\x1b[" in shown[0].raw


def test_both_streams_in_one_and_the_memory(forked: Forked, tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    apart = forked(["no-such-command"], tmp_path, env, None, 60)
    merged = forked(["no-such-command"], tmp_path, env, None, 60, merged=True)
    assert (merged.returncode, merged.stdout, merged.stderr) == (apart.returncode, apart.stdout + apart.stderr, "")
    assert 20 << 10 < merged.memory < 200 << 10


def test_leaves_nothing_to_the_next_call(forked: Forked, tmp_path: Path) -> None:
    """Neither a variable, nor the folder, nor the settings that were read, nor the umask, nor a descriptor."""
    (tmp_path / "a").mkdir()
    config = "[env.one]\namqp_url = 'amqp://u:p@127.0.0.1:1/v'\n"
    (tmp_path / "a" / "attune-ops.toml").write_text(config)
    env = clean_environment(tmp_path)
    before = forked(["config", "show"], tmp_path, env, None, 60)
    there = forked(["config", "show"], tmp_path / "a", env | {"ATTUNE_OPS_ENV": "one", "NO_COLOR": "1"}, None, 60)
    assert "127.0.0.1" in there.stdout
    assert "127.0.0.1" not in before.stdout
    for _ in range(50):
        after = forked(["config", "show"], tmp_path, env, None, 60)
        assert (after.returncode, after.stdout, after.stderr) == (before.returncode, before.stdout, before.stderr)
    assert forked._process is not None
    of_the_server = Path(f"/proc/{forked._process.pid}/fd")
    eventually(lambda: len(list(of_the_server.iterdir())) <= 6)  # three, the socket of the calls, what waits for both


def test_a_call_that_does_not_end_is_killed(forked: Forked, tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "never.jsonl")  # nobody writes
    words = ["route", "--topology", "attune-0.6", "--batch", "never.jsonl"]
    with pytest.raises(subprocess.TimeoutExpired):
        forked(words, tmp_path, clean_environment(tmp_path), None, 1)
    assert forked._process is not None
    children = Path(f"/proc/{forked._process.pid}/task/{forked._process.pid}/children")
    eventually(lambda: not children.read_text().split())


def test_not_where_a_new_process_would_differ(forked: Forked, tmp_path: Path) -> None:
    env = clean_environment(tmp_path)
    forked(["--version"], tmp_path, env, None, 60)
    assert forked.usable(COMMAND, env | {"NO_COLOR": "1"}, None)
    assert not forked.usable(COMMAND, env | {"PYTHONUTF8": "0"}, None)
    assert not forked.usable(COMMAND, env | {"LC_ALL": "C"}, None)
    assert not forked.usable(tmp_path / "attune-ops", env, None)
    assert not forked.usable(COMMAND, env, "x" * 100_000)
