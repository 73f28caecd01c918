"""Each command line of deploy/kubernetes as its pod runs it: uid 65532, a read-only root with nothing else in it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from collections.abc import Callable
from pathlib import Path

import pytest
import requests

from tests.conftest import lacking
from tests.deploy.test_kubernetes import containers
from tests.live.places import Place
from tests.world import eventually

ROOT = Path(__file__).parents[3]
USER = 65532
# A root file system on memory, with the system's Python, the packages and this package in it, all read-only. Only the
# folder that a volume is mounted to can be written.
SCRIPT = """
set -e
root=$1 package=$2 site=$3 state=$4 python=$5
shift 5
mount -t tmpfs clean "$root"
mkdir "$root"/usr "$root"/etc "$root"/proc "$root"/package "$root"/package/attune_ops "$root"/site "$root"/state
for link in bin lib lib64; do
    [ ! -e /$link ] || ln -s usr/$link "$root"/$link
done
mount --bind /usr "$root"/usr
if [ "$python" != /usr ]; then # a Python that is not the system's
    mkdir -p "$root$python"
    mount --bind "$python" "$root$python"
    mount -o remount,bind,ro "$root$python"
fi
mount --bind "$package" "$root"/package/attune_ops
mount --bind "$site" "$root"/site
mount --bind "$state" "$root"/state
for folder in usr package/attune_ops site; do
    mount -o remount,bind,ro "$root"/$folder
done
mount -o remount,ro "$root"
exec chroot --userspec=65532:65532 "$root" "$@"
"""

Pod = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture(scope="module")
def installation(installed: Place) -> dict[str, str]:
    """The variables of the Secret that points to an installation of release 0.6 with two workers."""
    return {
        "ATTUNE__MESSAGE_QUEUE__URL": installed.vhost.amqp_url,
        "ATTUNE__DATABASE__URL": installed.database,
        "ATTUNE_OPS_MANAGEMENT_URL": installed.vhost.management_url,
    }


@pytest.fixture
def line(installation: dict[str, str], tmp_path: Path) -> Callable[[list[str]], list[str]]:
    """The words that run a pod's command line in a clean root."""
    if os.geteuid():
        lacking("a clean root needs root")
    root, state = tmp_path / "root", tmp_path / "state"
    root.mkdir()
    state.mkdir()
    os.chown(state, USER, USER)
    tmp_path.chmod(0o755)
    places = [root, ROOT / "attune_ops", Path(sysconfig.get_path("purelib")), state, Path(sys.base_prefix)]
    variables = {
        **installation, "PYTHONPATH": "/package:/site", "PYTHONDONTWRITEBYTECODE": "1",
        "XDG_STATE_HOME": "/state", "XDG_CONFIG_HOME": "/config",
    }  # fmt: skip
    python = Path(sys.executable).resolve()

    def words(args: list[str]) -> list[str]:
        inside = ["/usr/bin/env", "-i", *(f"{k}={v}" for k, v in variables.items()), str(python), "-m", "attune_ops"]
        return ["unshare", "--mount", "bash", "-c", SCRIPT, "clean", *map(str, places), *inside, *args]

    return words


def args(folder: str, job: str) -> list[str]:
    """The arguments of the container of that name, or of that command."""
    (found,) = [c["args"] for _, c in containers(folder) if job in (c["name"], c["args"][0])]
    return list(found)


def run(words: list[str]) -> subprocess.CompletedProcess[str]:
    return subprocess.run(words, capture_output=True, text=True, check=False, timeout=120)


def test_the_cron_jobs_work(line: Callable[[list[str]], list[str]], tmp_path: Path) -> None:
    done = run(line(args("base", "doctor")))
    assert done.stdout, done.stderr
    report = json.loads(done.stdout)
    assert report["schema"] == "attune-ops/doctor/1", done.stderr
    assert report["target"]["topology"] == "attune-0.6"
    assert report["target"]["registry"]["workers"] == 2
    assert done.returncode == (1 if report["summary"]["counts"]["error"] else 0), done.stderr

    done = run(line(args("base", "reap")))
    assert done.returncode == 0, done.stderr
    done = run(line(args("reap-apply", "reap")))
    assert done.returncode == 0, done.stderr
    # The live workers' queues are still there, and what the first run saw was kept on the volume.
    assert json.loads(run(line(["queues", "--format", "json"])).stdout)["rows"]
    assert [f for f in (tmp_path / "state").rglob("*") if f.is_file() and f.stat().st_uid == USER]


def test_the_jobs_around_an_upgrade_work(line: Callable[[list[str]], list[str]]) -> None:
    assert run(line(args("upgrade/before", "snapshot"))).returncode == 0
    (after,) = [c["args"] for _, c in containers("upgrade/after") if c["name"] == "snapshot"]
    (diff,) = [c["args"] for _, c in containers("upgrade/after") if c["name"] == "attune-ops"]
    assert run(line(after)).returncode == 0
    done = run(line(diff))
    # Which deprecated features are used is known of the whole broker: another test may declare such a queue meanwhile.
    if done.returncode == 1:
        _, *rows = done.stdout.partition("\n\n")[0].splitlines()
        assert {row.split()[1] for row in rows} == {"feature"}, done.stdout
    else:
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_deployment_serves(line: Callable[[list[str]], list[str]]) -> None:
    words = [*args("base", "serve"), "--port", "0", "--for", "60s"]
    words[words.index("0.0.0.0")] = "127.0.0.1"
    with subprocess.Popen(line(words), stderr=subprocess.PIPE, text=True) as server:
        try:
            assert server.stderr is not None
            url = next(w for w in server.stderr.readline().split() if w.startswith("http://"))
            eventually(lambda: requests.get(f"{url}readyz", timeout=30).status_code == 200)
            assert "attune_ops_worker_ready{" in requests.get(f"{url}metrics", timeout=30).text
        finally:
            server.terminate()
        assert server.wait(60) == 0
