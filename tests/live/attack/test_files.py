"""Files named on the command line: only regular files are written, and nothing else is changed by a slip.

What root is allowed to write is everything. A device, a named pipe, a folder or another program's file under the name
that a command is given keeps its kind, its mode and its content.
"""

from __future__ import annotations

import base64
import gzip
import json
import os
import resource
import stat
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune_ops.messages.message_file import open_file
from attune_ops.model.errors import ActionError
from tests.live.messages.site import bodies, connect, declare_work, depth, envelope, send
from tests.world import Run, Vhost

WRITERS = {
    "drain": "messages drain work --apply --to",
    "drain, dry run": "messages drain work --to",
    "report": "report --force --output",
    "report, no force": "report --output",
    "snapshot": "snapshot save --force",
    "notebook": "notebook run first-look --force --output",
    "drill": "drill run worker-crash --save",
}
KINDS = ("device", "named pipe", "folder", "socket", "link to a device")


@pytest.fixture
def site(vhost: Vhost) -> Vhost:
    declare_work(vhost)
    send(connect(vhost), *(envelope(n=n) for n in range(3)))
    return vhost


@pytest.fixture
def harmed(tmp_path: Path) -> Iterator[dict[str, Path]]:
    """A file of each kind that is none to write, as harmless as it can be."""
    import pty
    import socket

    folder = tmp_path / "kinds"
    folder.mkdir()
    made = {kind: folder / kind.replace(" ", "-") for kind in KINDS}
    master, slave = pty.openpty()
    try:
        os.mknod(made["device"], stat.S_IFCHR | 0o666, os.makedev(1, 3))  # a second /dev/null
    except PermissionError:  # not root: a terminal of the test's own
        made["device"] = Path(os.ttyname(slave))
    os.mkfifo(made["named pipe"])
    made["folder"].mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        os.chdir(folder)  # the path of a socket is short
        server.bind("socket")
        made["link to a device"].symlink_to(made["device"])
        yield made
    os.close(master)
    os.close(slave)


def looks(path: Path) -> tuple[int, int, int]:
    """Kind and mode of the name itself and of what it links to."""
    return os.lstat(path).st_mode, os.stat(path).st_mode, os.lstat(path).st_ino


@pytest.mark.parametrize("writer", WRITERS)
def test_what_is_no_regular_file_is_refused_and_left(
    writer: str, site: Vhost, run: Run, harmed: dict[str, Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    for kind, path in harmed.items():
        before = looks(path)
        done = run(*WRITERS[writer].split(), path, target=site)
        assert done.returncode == 2, (kind, done.stdout, done.stderr)
        (line,) = done.stderr.splitlines()
        assert "not a regular file; it is not changed" in line
        assert str(path) in line
        assert looks(path) == before, kind
    assert depth(site, "work") == 3
    assert sorted(p.name for p in run.folder.iterdir()) == []


def test_a_link_is_followed_and_its_target_replaced_at_once(site: Vhost, run: Run, tmp_path: Path) -> None:
    for name, line in (("r", "report --force --output"), ("s", "snapshot save --force"), ("d", WRITERS["drain"])):
        target, link = tmp_path / f"{name}-target", tmp_path / f"{name}-link"
        target.touch(0o666)
        target.chmod(0o666)
        link.symlink_to(target.name)
        run(*line.split(), link, target=site, status=0)
        assert link.is_symlink()
        assert os.readlink(link) == target.name
        assert target.stat().st_size > 100
        assert stat.S_IMODE(target.stat().st_mode) == 0o600
    assert not [p for p in tmp_path.iterdir() if p.name.endswith(".part")]


NOT_OURS = {
    "a lone brace": b"{",
    "the beginning of ours": b'{"schema":"attune-ops/messages',
    "peek's JSON without a line end": b'{"schema":"attune-ops/messages-peek/1","queue":"work","messages":[]}',
    "our schema without a line end": b'{"schema":"attune-ops/messages/1","id":"x","queue":"work","vhost":"/",'
    b'"broker":"b","created":"2026-01-01T00:00:00Z"}',
    "notes": b"do not lose this\n",
    "no line end at all": b"\0" * 200_000,
}


@pytest.mark.parametrize("what", NOT_OURS)
def test_a_file_that_only_looks_like_ours_is_refused_and_left(what: str, site: Vhost, run: Run) -> None:
    file = run.folder / "theirs"
    for line in (
        "messages drain work --to theirs --apply",
        "messages drain work --to theirs",
        "messages restore theirs",
        "messages restore theirs --apply",
    ):
        file.write_bytes(NOT_OURS[what])
        file.chmod(0o644)
        done = run(*line.split(), target=site, status=2)
        (said,) = done.stderr.splitlines()
        assert "is not a message file" in said
        assert file.read_bytes() == NOT_OURS[what]
        assert stat.S_IMODE(file.stat().st_mode) == 0o644
    assert depth(site, "work") == 3
    assert not (run.folder / "theirs.restored").exists()


def test_marks_that_are_not_ours_are_left(site: Vhost, run: Run) -> None:
    run("messages", "drain", "work", "--to", "f", "--apply", target=site, status=0)
    marks = run.folder / "f.restored"
    for theirs in (b"{", b"my notes"):
        marks.write_bytes(theirs)
        run("messages", "restore", "f", "--apply", target=site, status=2)
        assert marks.read_bytes() == theirs
    marks.unlink()
    os.mkfifo(marks)
    run("messages", "restore", "f", "--apply", target=site, status=2)
    assert stat.S_ISFIFO(marks.stat().st_mode)


def test_a_full_disk_leaves_no_half_of_the_first_line(site: Vhost, run: Run) -> None:
    """A file that was cut off in its first line would be refused for ever."""
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (50, limits[1]))
    try:
        with pytest.raises(ActionError, match="File too large"), open_file(run.folder / "f", site.settings(""), "work"):
            raise AssertionError("the first line is not written")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
    assert (run.folder / "f").stat().st_size == 0
    run("messages", "drain", "work", "--to", "f", "--apply", target=site, status=0)
    assert len((run.folder / "f").read_bytes().splitlines()) == 4


@pytest.mark.parametrize("umask", ["000", "022", "777"])
def test_mode_600_whatever_the_umask(umask: str, site: Vhost, run: Run, tmp_path: Path) -> None:
    for line in (
        "snapshot save now.json.gz",
        "report --output now.html",
        "messages drain work --to now.jsonl --apply",
        "history record --for 0s",
        "history record --for 0s",  # into what the first made
    ):
        done = run.shell(f"umask {umask}; attune-ops {line}", site.environment)
        assert done.returncode in (0, 1), (line, done.stderr)
    written = [run.folder / name for name in ("now.json.gz", "now.html", "now.jsonl")]
    made = list((tmp_path / "home").rglob("*"))
    assert {stat.S_IMODE(path.stat().st_mode) for path in made if path.is_dir()} == {0o700}
    assert {file.suffix for file in made} >= {".parquet", ".jsonl"}
    written += [path for path in made if path.is_file()]
    assert {stat.S_IMODE(file.stat().st_mode) for file in written} == {0o600}


class TestStandardOutput:
    """`-` is standard output, and nothing but the file is on it."""

    def test_a_drained_queue(self, site: Vhost, run: Run) -> None:
        looked = run("messages", "drain", "work", "--to", "-", target=site, status=0)
        assert looked.stdout == ""
        assert depth(site, "work") == 3
        done = run("messages", "drain", "work", "--to", "-", "--apply", target=site, status=0)
        (run.folder / "kept").write_text(done.stdout)
        first, *lines = map(json.loads, done.stdout.splitlines())
        assert first["schema"] == "attune-ops/messages/1"
        assert [json.loads(base64.b64decode(m["body"]))["payload"]["n"] for m in lines] == [0, 1, 2]
        assert "drained" in done.stderr
        assert not (run.folder / "-").exists()
        assert depth(site, "work") == 0
        run("messages", "restore", "kept", "--apply", target=site, status=0)
        assert [b["payload"]["n"] for b in bodies(connect(site), "work")] == [0, 1, 2]

    def test_a_reader_that_has_gone_loses_no_message(self, site: Vhost, run: Run) -> None:
        command = "attune-ops messages drain work --to - --apply | true; exit ${PIPESTATUS[0]}"
        done = run.shell(f"sleep 0.1; {command}", site.environment)
        assert done.returncode == 1, done.stderr
        assert "a bug" not in done.stderr
        assert depth(site, "work") == 3

    def test_a_snapshot_and_a_report(self, site: Vhost, run: Run) -> None:
        for line, begins in (("snapshot save -", b'{"topology":'), ("report --output -", b"<!doc")):
            done = subprocess.run(
                [run.command, *line.split()],
                env=run.environment(site),
                cwd=run.folder,
                capture_output=True,
                check=True,
                timeout=60,
            )
            shown = gzip.decompress(done.stdout) if line.startswith("snapshot") else done.stdout
            assert shown[:100].lower().startswith(begins), shown[:100]
        assert list(run.folder.iterdir()) == []
