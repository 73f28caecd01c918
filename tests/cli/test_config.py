"""`attune-ops config` as a process: it shows without secrets, writes once, and checks every environment."""

from __future__ import annotations

import json

import pytest

from attune_ops.installation.config.settings import NO_REGISTRY
from tests.world import Run

SECRET = "s3cret-w/ord"


def test_show(run: Run) -> None:
    (run.folder / "attune-ops.toml").write_text(
        '[env.prod]\namqp_url = "amqp://me@rabbit/v"\npassword_env = "RABBIT"\nprotected = true\n'
    )
    env = {"ATTUNE_OPS_ENV": "prod", "RABBIT": SECRET}
    done = run("config", "show", "--topology", "attune-2026-09", "--format", "json", env=env, status=0)
    told = {row["member"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)["rows"]}
    assert told["amqp"] == ("amqp://me:***@rabbit:5672/v", "attune-ops.toml [env.prod]")
    assert told["management"] == ("http://me:***@rabbit:15672", "derived from the AMQP URL")
    assert told["topology"] == ("attune-2026-09", "--topology")
    assert told["env"] == ("prod", "ATTUNE_OPS_ENV")
    assert told["timeout"] == ("10 s", "default")
    assert SECRET not in done.stdout
    table = run("config", "show", env=env, status=0)
    assert SECRET not in table.stdout + table.stderr


def test_init_writes_once_and_only_when_told(run: Run) -> None:
    path = run.folder / "attune-ops.toml"
    dry = run("config", "init", status=0)
    assert not path.exists()
    assert "--apply writes this to attune-ops.toml" in dry.stderr
    run("config", "init", "--apply", status=0)
    assert path.read_text() == dry.stdout
    assert max(map(len, dry.stdout.splitlines())) <= 80
    assert path.stat().st_mode & 0o777 == 0o600
    path.write_text("# mine\n")
    again = run("config", "init", "--apply", status=2)
    assert again.stderr == "attune-ops: 'attune-ops.toml' exists and is not changed; use another file\n"
    assert path.read_text() == "# mine\n"
    assert "cannot write" in run("config", "init", "no/such/folder.toml", "--apply", status=2).stderr


def test_what_init_writes_is_right_and_used(run: Run) -> None:
    run("config", "init", "--apply", status=0)
    run("config", "check", status=0)
    shown = run("config", "show", "--env", "dev", "--format", "csv", status=0).stdout
    assert "amqp,amqp://guest:***@localhost:5672/%2F,attune-ops.toml [env.dev]" in shown


def test_check(run: Run) -> None:
    path = run.folder / "attune-ops.toml"
    path.write_text(f'[env.good]\namqp_url = "amqp://u:{SECRET.replace("/", "%2F")}@h"\n[env.bad]\namqp_url = "h"\n')
    path.chmod(0o600)
    done = run("config", "check", "--format", "csv", status=2)
    assert "env good,true," in done.stdout
    assert "env bad,false,attune-ops.toml [env.bad]: not a URL" in done.stdout
    assert SECRET not in done.stdout
    path.write_text("nonsense")
    assert "not TOML" in run("config", "check", status=2).stdout
    path.unlink()
    assert "no installation given" in run("config", "check", status=2).stdout
    run("config", "check", "--amqp-url", "amqp://h", status=0)


@pytest.mark.parametrize(
    "command",
    ["startup", "reap", "retire", "orphans", "workers", "workers --format csv", "health worker w1 --wait 1h"],
)
def test_a_registry_that_is_not_configured_is_not_waited_for(run: Run, command: str) -> None:
    done = run(*command.split(), "--amqp-url", "amqp://127.0.0.1:1", status=2)
    assert (done.stdout, done.stderr) == ("", f"attune-ops: {NO_REGISTRY}\n")


FILE = """
[env.prod]
amqp_url = "amqp://guest:guest@127.0.0.1:1/prod"
[env.bare]
topology = "attune-2026-01"
"""
OTHER = {
    "ATTUNE_OPS_AMQP_URL": f"amqp://guest:{SECRET.replace('/', '%2F')}@127.0.0.2:1/other",
    "ATTUNE_OPS_MANAGEMENT_URL": "http://127.0.0.2:2",
    "ATTUNE_OPS_DATABASE_URL": "postgresql://me@127.0.0.2:1/other",
}
OVERRIDDEN = "--env prod takes precedence over ATTUNE_OPS_AMQP_URL, ATTUNE_OPS_MANAGEMENT_URL"
WINNING = "ATTUNE_OPS_AMQP_URL takes precedence over attune-ops.toml [env.prod]"


@pytest.mark.parametrize(
    ("options", "environ", "amqp", "management", "notes"),
    [
        (["--env", "prod"], OTHER, "127.0.0.1:1/prod", "127.0.0.1:15672", [OVERRIDDEN]),
        (["--env", "prod"], {"ATTUNE_OPS_LAB": "two"}, "127.0.0.1:1/prod", "127.0.0.1:15672",
         ["--env prod takes precedence over ATTUNE_OPS_LAB"]),
        (["--env", "prod"], {}, "127.0.0.1:1/prod", "127.0.0.1:15672", []),
        (["--env", "bare"], OTHER, "127.0.0.2:1/other", "127.0.0.2:2", []),
        ([], {**OTHER, "ATTUNE_OPS_ENV": "prod"}, "127.0.0.2:1/other", "127.0.0.2:2", [WINNING]),
    ],
)  # fmt: skip
def test_a_named_environment_comes_before_variables(
    run: Run, options: list[str], environ: dict[str, str], amqp: str, management: str, notes: list[str]
) -> None:
    (run.folder / "attune-ops.toml").write_text(FILE)
    done = run("config", "show", *options, "--format", "json", env=environ, status=0)
    table = json.loads(done.stdout)
    told = {row["member"]: row["value"] for row in table["rows"]}
    assert told["amqp"] == f"amqp://guest:***@{amqp}"
    assert told["management"].endswith(f"@{management}")
    assert table.get("notes", []) == notes
    text = run("config", "show", *options, env=environ, status=0)
    assert all(note in " ".join((text.stdout + text.stderr).split()) for note in notes)
    assert SECRET not in done.stdout + text.stdout + text.stderr


def test_the_heading_of_the_doctor_says_which_variables_are_overridden(run: Run) -> None:
    (run.folder / "attune-ops.toml").write_text(FILE)
    only = ("--only", "AT101", "--fail-on", "never")
    for options, environ, note in (
        (("--env", "prod"), OTHER, OVERRIDDEN),
        ((), {**OTHER, "ATTUNE_OPS_ENV": "prod"}, WINNING),
    ):
        report = json.loads(run("doctor", *options, *only, "--format", "json", env=environ).stdout)
        assert report["summary"]["notes"] == [note]
        assert note in " ".join(run("doctor", *options, *only, env=environ).stdout.split())


@pytest.mark.parametrize(
    ("option", "content", "reason"),
    [
        ("--ca-file", None, "No such file or directory"),
        ("--ca-file", "nothing", "it contains no certificate in PEM form"),
        ("--cert-file", None, "No such file or directory"),
    ],
)
def test_a_tls_file_that_cannot_be_used_is_refused_without_tls_in_a_url(
    run: Run, option: str, content: str | None, reason: str
) -> None:
    file = run.folder / "own.pem"
    if content is not None:
        file.write_text(content)
    member = option.removeprefix("--").replace("-", "_")
    wanted = f"attune-ops: cannot use {member} '{file}': {reason}\n"
    for command in ("doctor", "queues", "health broker", "config show"):
        done = run(*command.split(), option, str(file), "--amqp-url", "amqp://u:p@127.0.0.1:9", status=2)
        assert (done.stdout, done.stderr) == ("", wanted), command
    (run.folder / "attune-ops.toml").write_text(f'[env.a]\namqp_url = "amqp://h"\n{member} = "own.pem"\n')
    checked = run("config", "check", "--format", "csv", status=2).stdout
    assert f"env a,false,cannot use {member}" in checked


def test_what_an_amqp_url_leaves_out_is_said_on_stderr(run: Run) -> None:
    """Otherwise the queues of one broker would be listed, and those of the other deleted."""
    (run.folder / "attune-ops.toml").write_text(
        'default_env = "prod"\n[env.prod]\namqp_url = "amqp://127.0.0.1:1"\nmanagement_url = "http://127.0.0.1:1"\n'
    )
    target = ("--amqp-url", "amqp://127.0.0.2:1")
    said = "attune-ops: management_url of attune-ops.toml [env.prod] is not used: --amqp-url names another broker. "
    for command in ("queues", "policy show", "config show"):
        done = run(*command.split(), *target)
        assert done.stderr.startswith(f"{said}The management API is expected at http://127.0.0.2:15672; "), command
        assert "127.0.0.1" not in done.stderr
    assert "http://guest:***@127.0.0.2:15672" in done.stdout
    assert "is not used" not in done.stdout
    report = run("doctor", "--only", "AT101", *target, status=3)
    assert (report.stderr.count("is not used"), report.stdout.count("is not used")) == (1, 0)
