"""The command finds an Attune installation by Attune's own files and variables, as Attune itself does."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from tests.world import Run

BASE = """
environment: development
database: {url: "postgresql://attune:pw-base@db/attune", schema: automation}
message_queue: {url: "amqp://attune:pw-base@rabbit/%2f", exchange: not.used, queues: {executions: {name: not.used}}}
worker: {name: from-file, heartbeat_interval: 10}
"""
OVER = 'message_queue: {url: "amqp://attune:pw-over@production//"}\nworker: {name: null}\n'
CHART = "environment: production\ndatabase: {schema: attune}\nworker: {heartbeat_interval: 30}\n"
NO_URL = "attune-ops: config.yaml has no message_queue.url: set ATTUNE__MESSAGE_QUEUE__URL or use --amqp-url\n"


def shown(run: Run, *options: str, env: dict[str, str] | None = None) -> dict[str, tuple[str | None, str]]:
    """What `config show` says of each setting: value and origin."""
    done = run("config", "show", "--format", "json", *options, env=env, status=0)
    assert "pw-" not in done.stdout + done.stderr
    return {row["member"]: (row["value"], row["origin"]) for row in json.loads(done.stdout)["rows"]}


def test_the_file_in_the_current_folder(run: Run) -> None:
    (run.folder / "config.yaml").write_text(BASE)
    found = shown(run)
    assert found["attune_config"] == ("config.yaml", "found in this folder")
    assert found["amqp"] == ("amqp://attune:***@rabbit:5672/%2F", "config.yaml message_queue.url")
    assert found["database"] == ("postgresql://attune:***@db/attune", "config.yaml database.url")
    assert found["database_schema"] == ("automation", "config.yaml database.schema")
    assert found["worker_name"] == ("from-file", "config.yaml worker.name")
    assert found["heartbeat_interval"] == ("10 s", "config.yaml worker.heartbeat_interval")
    assert found["topology"] == ("attune-2026-01", "default")


def test_the_environments_file_over_it_and_variables_over_both(run: Run, tmp_path: Path) -> None:
    folder = tmp_path / "etc"
    folder.mkdir()
    (folder / "config.yaml").write_text(BASE)
    (folder / "config.production.yaml").write_text(OVER)
    (run.folder / "config.yaml").write_text("not: [YAML")  # ATTUNE_CONFIG names another file
    env = {"ATTUNE_CONFIG": str(folder / "config.yaml"), "ATTUNE__ENVIRONMENT": "production"}
    over = folder / "config.production.yaml"
    found = shown(run, env=env)
    assert found["attune_config"] == (f"{folder / 'config.yaml'}, {over}", "ATTUNE_CONFIG")
    assert found["amqp"] == ("amqp://attune:***@production:5672/%2F", f"{over} message_queue.url")
    assert found["worker_name"] == ("from-file", f"{folder / 'config.yaml'} worker.name")
    env |= {"ATTUNE__MESSAGE_QUEUE__URL": "amqp://a:pw-c@variable", "ATTUNE__DATABASE__SCHEMA": "s"}
    found = shown(run, env=env | {"ATTUNE__WORKER__NAME": "w9"})
    assert found["amqp"] == ("amqp://a:***@variable:5672/%2F", "ATTUNE__MESSAGE_QUEUE__URL")
    assert found["database_schema"] == ("s", "ATTUNE__DATABASE__SCHEMA")
    assert found["worker_name"] == ("w9", "ATTUNE__WORKER__NAME")
    assert shown(run, env=env | {"ATTUNE__ENVIRONMENT": "staging"})["attune_config"][0] == str(folder / "config.yaml")
    assert "config.production.yaml" not in run("config", "show", env={}, status=2).stderr


def test_a_file_without_urls_is_named(run: Run) -> None:
    """The chart's: the URLs are in a Secret, as variables."""
    (run.folder / "config.yaml").write_text(CHART)
    for words in (("config", "show"), ("doctor",), ("queues",)):
        done = run(*words, status=2)
        assert (done.stdout, done.stderr) == ("", NO_URL)
    found = shown(run, env={"ATTUNE__MESSAGE_QUEUE__URL": "amqp://h/attune", "ATTUNE_WORKER_NAME": "pod-7"})
    assert found["amqp"] == ("amqp://guest:***@h:5672/attune", "ATTUNE__MESSAGE_QUEUE__URL")
    assert found["database"] == (None, "not in config.yaml: set ATTUNE__DATABASE__URL")
    assert found["worker_name"] == ("pod-7", "ATTUNE_WORKER_NAME")
    assert found["heartbeat_interval"] == ("30 s", "config.yaml worker.heartbeat_interval")


def test_the_registry_of_a_file_found_by_chance_is_not_mixed_with_another_broker(run: Run) -> None:
    (run.folder / "config.yaml").write_text(BASE)
    (run.folder / "attune-ops.toml").write_text('[env.prod]\namqp_url = "amqp://prod"\n[env.bare]\n')
    for words in (("--amqp-url", "amqp://other"), ("--env", "prod")):
        found = shown(run, *words)
        assert (found["database"], found["attune_config"][0]) == ((None, "default"), None)
    assert shown(run, "--env", "prod", "--attune-config", "config.yaml")["database"][0] is not None
    assert "'bare' has no amqp_url" in run("queues", "--env", "bare", status=2).stderr


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("message_queue: [", "config.yaml, line 1: not YAML: "),
        ("worker: {since: 2026-13-45}", "config.yaml: not YAML: month must be in 1..12"),
        ("[" * 5000, "config.yaml: not YAML: "),
        ("message_queue: {url: 'http://h'}", "config.yaml message_queue.url: scheme http:// is not supported"),
    ],
)
def test_a_wrong_file_is_one_line(text: str, says: str, run: Run) -> None:
    (run.folder / "config.yaml").write_text(text)
    done = run("queues", status=2)
    assert done.stderr.startswith(f"attune-ops: {says}")
    assert done.stderr.count("\n") == 1


def test_a_file_of_another_program_is_not_attunes(run: Run) -> None:
    (run.folder / "config.yaml").write_text("server: {port: 80}\n")
    assert "no installation given" in run("queues", status=2).stderr


def test_the_file_that_attune_config_names_must_be_there(run: Run) -> None:
    done = run("queues", env={"ATTUNE_CONFIG": "gone.yaml"}, status=2)
    line = "'gone.yaml': cannot read the configuration of Attune (ATTUNE_CONFIG): No such file or directory"
    assert done.stderr == f"attune-ops: {line}\n"


def test_check_names_the_target_and_where_it_is_from(run: Run) -> None:
    (run.folder / "config.yaml").write_text(BASE)
    done = run(
        "config", "check", "--format", "json", env={"ATTUNE__DATABASE__URL": "postgresql://d:pw-d@e/f"}, status=0
    )
    (row,) = json.loads(done.stdout)["rows"]
    assert row["subject"] == "target of this command"
    assert (
        "from config.yaml message_queue.url; registry: postgresql://d:***@e/f from ATTUNE__DATABASE__URL"
        in (row["detail"])
    )
    assert "pw-" not in done.stdout
