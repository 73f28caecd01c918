"""`attune-ops config` as a process: it shows without secrets, writes once, and checks every environment."""

from __future__ import annotations

import json

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
