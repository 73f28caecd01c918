"""The Dockerfile and the compose file of deploy/."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import yaml

from attune_ops.model.version import __version__

ROOT = Path(__file__).parents[2]
DEPLOY = ROOT / "deploy"
BIN = Path(sys.executable).parent


def test_the_dockerfile_passes_its_linter() -> None:
    done = subprocess.run([BIN / "hadolint", DEPLOY / "Dockerfile"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (0, "")


def test_the_image_gets_what_the_package_is_built_from() -> None:
    # A file that the wheel needs and the build does not copy would be found only by a build.
    copied = set(re.findall(r"^COPY (?!--from)(.+) \S+$", (DEPLOY / "Dockerfile").read_text(), re.MULTILINE))
    sources = {word for line in copied for word in line.split()}
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    parts = {
        "pyproject.toml",
        "README.md",
        "LICENSE",
        "docs/*.md",
        "docs/howto",
        "notebooks",
        "attune_ops",
        "deploy/minimal-root",
    }
    assert sources == allowed == parts


def test_the_compose_file_is_valid_and_its_profile_starts_nothing_by_itself() -> None:
    file = DEPLOY / "compose" / "compose.yaml"
    done = subprocess.run(
        [BIN / "check-jsonschema", "--builtin-schema", "vendor.compose-spec", file],
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout
    service = yaml.safe_load(file.read_text())["services"]["attune-ops"]
    assert service["profiles"] == ["ops"]
    assert service["networks"] == ["attune-network"]  # Attune's own compose file has this name
    assert all(port.startswith("127.0.0.1:") for port in service["ports"])
    assert service["read_only"] is True


def test_the_files_name_this_version() -> None:
    named = set()
    for file in DEPLOY.rglob("*"):
        if file.is_file():
            named |= set(re.findall(r"(?:attune-ops:|newTag: |ARG VERSION=)(?:-)?(\d+\.\d+\.\d+)", file.read_text()))
    assert named == {__version__}
