"""The manifests of deploy/kubernetes are valid and restricted, and their command lines are those of the command."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.cli.commands import parsed

ROOT = Path(__file__).parents[2]
MANIFESTS = ROOT / "deploy" / "kubernetes"
FOLDERS = sorted(str(f.parent.relative_to(MANIFESTS)) for f in MANIFESTS.rglob("kustomization.yaml"))
RUNNING = [f for f in FOLDERS if f != "monitoring"]  # where there are pods
BIN = Path(sys.executable).parent


def rendered(folder: str) -> str:
    return subprocess.run(
        [BIN / "kubectl", "kustomize", MANIFESTS / folder], capture_output=True, text=True, check=True
    ).stdout


def objects(folder: str) -> list[dict[str, Any]]:
    return [o for o in yaml.safe_load_all(rendered(folder)) if o]


def pod(thing: dict[str, Any]) -> dict[str, Any] | None:
    """The pod's specification in a Deployment, Job or CronJob."""
    spec = thing.get("spec", {})
    spec = spec.get("jobTemplate", {}).get("spec", spec)
    inner = spec.get("template", {}).get("spec")
    return inner if isinstance(inner, dict) else None


def containers(folder: str) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Each container with the specification of its pod."""
    for thing in objects(folder):
        spec = pod(thing) or {}
        for container in [*spec.get("initContainers", []), *spec.get("containers", [])]:
            yield spec, container


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid_for_kubernetes(folder: str, tmp_path: Path) -> None:
    known = [o for o in objects(folder) if not o["apiVersion"].startswith("monitoring.coreos.com/")]
    file = tmp_path / "objects.yaml"
    file.write_text(yaml.safe_dump_all(known))
    done = subprocess.run([BIN / "kubernetes-validate", "--strict", file], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    assert (done.stdout + done.stderr).count("passed for resource") == len(known)


@pytest.mark.parametrize("folder", RUNNING)
def test_each_pod_obeys_the_restricted_standard(folder: str) -> None:
    for spec, container in containers(folder):
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] == 65532
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert spec["automountServiceAccountToken"] is False
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "readOnlyRootFilesystem": True,
            "capabilities": {"drop": ["ALL"]},
        }
        assert container["image"].startswith("attune-ops:")
        assert container["resources"]["limits"]["memory"]


@pytest.mark.parametrize("folder", RUNNING)
def test_each_command_line_is_one_of_this_command(folder: str) -> None:
    lines = [container["args"] for _, container in containers(folder)]
    assert lines
    for line in lines:
        parsed(line)


def test_nothing_is_deleted_without_the_overlay_that_says_so() -> None:
    assert "--apply" not in [w for f in FOLDERS if f != "reap-apply" for _, c in containers(f) for w in c["args"]]
    (reap,) = [o for o in objects("reap-apply") if o["metadata"]["name"] == "attune-ops-reap"]
    spec = pod(reap)
    assert spec is not None
    assert spec["containers"][0]["args"][-1] == "--apply"


def test_only_what_deletes_has_the_secret_of_a_user_that_may_delete() -> None:
    secrets = {
        (folder, name)
        for folder in RUNNING
        for spec, container in containers(folder)
        for name in [source["secretRef"]["name"] for source in container["envFrom"]]
        if ("--apply" in container["args"]) != (name == "attune-ops-reap")
    }
    assert secrets == set()
    page = (ROOT / "docs" / "deployment.md").read_text()
    assert "create secret generic attune-ops " in page
    assert "second Secret, `attune-ops-reap`, with the same keys" in page


def test_what_a_prometheus_operator_gets_fits_what_serves() -> None:
    things = {o["kind"]: o for o in [*objects("base"), *objects("monitoring")] if o["kind"] != "CronJob"}
    labels = things["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert things["Service"]["spec"]["selector"].items() <= labels.items()
    monitor = things["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= things["Service"]["metadata"]["labels"].items()
    printed = subprocess.run([BIN / "attune-ops", "monitoring", "rules"], capture_output=True, text=True, check=True)
    assert things["PrometheusRule"]["spec"] == yaml.safe_load(printed.stdout)
    assert monitor["endpoints"][0]["port"] == things["Service"]["spec"]["ports"][0]["name"]
