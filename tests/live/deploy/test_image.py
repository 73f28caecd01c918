"""The container image, built from deploy/Dockerfile and run against a real broker and PostgreSQL.

It takes minutes, so it runs only with `ATTUNE_OPS_TEST_IMAGE=FOLDER`, as root, with buildah and debootstrap;
FOLDER keeps the base for the next run.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import requests

from tests.live.places import Place
from tests.world import eventually

FOLDER = os.environ.get("ATTUNE_OPS_TEST_IMAGE", "")
ROOT = Path(__file__).parents[3]
MOST_MB = 150
FOLDERS = {"root": "storage", "runroot": "run"}  # of buildah, in FOLDER

pytestmark = pytest.mark.skipif(not FOLDER, reason="set ATTUNE_OPS_TEST_IMAGE to a folder to build the image in")

Run = Callable[..., subprocess.CompletedProcess[str]]


class Image:
    """A container of the image; chroot isolation, so that it has the host's network."""

    def __init__(self, size_mb: int, container: str) -> None:
        self.size_mb, self._container = size_mb, container
        storage = [f"--{option}={Path(FOLDER).resolve() / name}" for option, name in FOLDERS.items()]
        self._buildah = ["buildah", "--storage-driver", "vfs", *storage]

    def line(self, *words: str, env: dict[str, str] | None = None) -> list[str]:
        """The words that run a program of the image as the image says: its user, its variables."""
        variables = [word for name, value in (env or {}).items() for word in ("--env", f"{name}={value}")]
        return [*self._buildah, "run", "--isolation", "chroot", *variables, self._container, "--", *words]

    def __call__(self, *words: str, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        return subprocess.run(self.line(*words, env=env), capture_output=True, text=True, check=False, timeout=120)

    @property
    def root(self) -> Path:
        """The folder with its root file system."""
        done = subprocess.run([*self._buildah, "mount", self._container], capture_output=True, text=True, check=True)
        return Path(done.stdout.strip())

    @property
    def config(self) -> dict[str, Any]:
        """What the image itself says."""
        done = subprocess.run([*self._buildah, "inspect", self._container], capture_output=True, check=True)
        made: dict[str, Any] = json.loads(done.stdout)["Docker"]["config"]
        return made

    def remove(self) -> None:
        subprocess.run([*self._buildah, "rm", self._container], capture_output=True, check=True)


@pytest.fixture(scope="module")
def image() -> Iterator[Image]:
    done = subprocess.run([ROOT / "scripts" / "image", FOLDER], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    size, container = done.stdout.split()
    made = Image(int(size), container)
    yield made
    made.remove()


@pytest.fixture(scope="module")
def installation(installed: Place) -> dict[str, str]:
    return {
        "ATTUNE_OPS_AMQP_URL": installed.vhost.amqp_url,
        "ATTUNE_OPS_DATABASE_URL": installed.database,
        "ATTUNE_OPS_MANAGEMENT_URL": installed.vhost.management_url,
    }


def test_it_is_small_and_has_no_shell(image: Image) -> None:
    assert image.size_mb <= MOST_MB
    config = image.config
    assert (config["User"], config["Entrypoint"]) == ("65532:65532", ["attune-ops"])
    programs = {file.name for folder in ("usr/bin", "opt/attune-ops/bin") for file in (image.root / folder).iterdir()}
    assert {"attune-ops", "python3"} <= programs
    assert programs & {"sh", "bash", "dash", "env", "pip", "pip3", "apt", "dpkg"} == set()
    code = "import os, ssl; print(os.getuid(), ssl.create_default_context().cert_store_stats()['x509_ca'])"
    user, authorities = image("python3", "-c", code).stdout.split()
    assert (user, int(authorities) > 50) == ("65532", True)
    assert image("attune-ops", "version").returncode == 0


def test_the_doctor_sees_broker_and_registry(image: Image, installation: dict[str, str]) -> None:
    done = image("attune-ops", "doctor", "--json", env=installation)
    report = json.loads(done.stdout)
    assert {c["code"]: c["status"] for c in report["checks"] if c["code"] < "AT104"} == {
        "AT101": "ok", "AT102": "ok", "AT103": "ok",
    }  # fmt: skip
    assert report["target"]["registry"]["kind"] == "postgresql"
    assert report["summary"]["counts"]["error"] == 0, report["findings"]
    assert len(json.loads(image("attune-ops", "workers", "--json", env=installation).stdout)["rows"]) == 2
    page = image("attune-ops", "doctor", "--format", "html", env=installation).stdout
    assert page.startswith("<!doctype html>")


def test_serve_is_healthy_by_the_image_s_own_check(image: Image, installation: dict[str, str]) -> None:
    config = image.config
    check = config["Healthcheck"]["Test"]
    assert check[0] == "CMD"
    assert image(*check[1:]).returncode != 0, "healthy before it serves"
    line = image.line("attune-ops", *config["Cmd"], env=installation)
    serve = subprocess.Popen(line, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        eventually(lambda: image(*check[1:]).returncode == 0, within=60)
        metrics = requests.get("http://127.0.0.1:9419/metrics", timeout=30).text
        assert "attune_ops_" in metrics
    finally:
        serve.terminate()
        serve.wait(60)
