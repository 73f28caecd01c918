"""Several environments on one command line: what is refused before anything is read."""

from __future__ import annotations

import pytest

from tests.world import Run

ENVS = ("good", "broken")


def envs(*names: str) -> list[str]:
    return [word for name in names for word in ("--env", name)]


def write(run: Run) -> None:
    lines = (f'[env.{n}]\namqp_url = "amqp://u:p@127.0.0.1:1/v"\n' for n in ENVS)
    (run.folder / "attune-ops.toml").write_text("".join(lines))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("doctor", *envs("good", "prd", "stagin")), "no environment 'prd' and 'stagin'; it has broken, good"),
        (("doctor", "--all-envs", *envs("good")), "--all-envs and --env"),
        (("doctor", *envs("good", "broken"), "--amqp-url", "amqp://h"), "--amqp-url is for one installation"),
        (("doctor", *envs("good", "broken"), "--from", "x.json"), "--from is for one installation"),
        (("doctor", *envs("good", "broken"), "--only", "AT999"), "no check or group 'AT999'"),
        (("queues", *envs("good", "broken")), "queues is for one environment, not --env good --env broken"),
        (("doctor", *envs("good", "broken"), "--config", "no.toml"), "cannot read the configuration file"),
    ],
)
def test_a_wrong_request(run: Run, words: tuple[str, ...], said: str) -> None:
    write(run)
    done = run(*words, status=2)
    assert said in done.stderr, done.stderr
    assert not done.stdout
    assert len(done.stderr.splitlines()) == 1


def test_a_file_without_environments(run: Run) -> None:
    (run.folder / "attune-ops.toml").write_text("")
    assert "it has no environments" in run("doctor", "--all-envs", status=2).stderr
    (run.folder / "attune-ops.toml").unlink()
    assert "need a configuration file" in run("doctor", "--all-envs", status=2).stderr


def test_the_last_env_is_that_of_the_command(run: Run) -> None:
    """An alias has one before the command's name; the one after it is chosen."""
    write(run)
    done = run("--env", "good", "config", "show", "--env", "broken", "--json", status=0)
    assert "env.broken" in done.stdout
    assert "env.good" not in done.stdout
