"""The manifests of deploy/kubernetes are valid and restricted, and their command lines are those of the command."""

from __future__ import annotations

import json
import re
import shlex
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
DEPLOYMENT, HEALTH = ((ROOT / "docs" / f"{page}.md").read_text() for page in ("deployment", "health"))
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


def known(folder: str) -> list[dict[str, Any]]:
    """The objects whose schemas Kubernetes has."""
    return [o for o in objects(folder) if not o["apiVersion"].startswith("monitoring.coreos.com/")]


@pytest.fixture(scope="module")
def validated(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What is said of each folder's objects, by one process: most of its time is its start."""
    made = tmp_path_factory.mktemp("objects")
    files = {folder: made / f"{folder.replace('/', '-')}.yaml" for folder in FOLDERS}
    for folder, file in files.items():
        file.write_text(yaml.safe_dump_all(known(folder)))
    command = [str(BIN / "kubernetes-validate"), "--strict", *map(str, files.values())]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    lines = (done.stdout + done.stderr).splitlines()
    return {folder: "\n".join(line for line in lines if f" {file} " in line) for folder, file in files.items()}


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_object_is_valid_for_kubernetes(folder: str, validated: dict[str, str]) -> None:
    assert validated[folder].count("passed for resource") == len(known(folder))


def assert_restricted(spec: dict[str, Any], container: dict[str, Any]) -> None:
    """The container and its pod obey the restricted Pod Security standard, and more."""
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


@pytest.mark.parametrize("folder", RUNNING)
def test_each_pod_obeys_the_restricted_standard(folder: str) -> None:
    for spec, container in containers(folder):
        assert_restricted(spec, container)
        assert container["resources"]["limits"]["memory"]


def test_the_pod_of_kubectl_run_is_valid_and_restricted(tmp_path: Path) -> None:
    shown = re.search(r"^kubectl run .*?^```", HEALTH, re.MULTILINE | re.DOTALL)
    assert shown
    words = shlex.split(shown[0].removesuffix("```"))
    (overrides,) = [json.loads(w.removeprefix("--overrides=")) for w in words if w.startswith("--overrides=")]
    spec = overrides["spec"]
    (container,) = spec["containers"]
    assert_restricted(spec, container)
    assert (container["name"], f"--image={container['image']}") == (words[2], words[6])
    parsed(container["args"])
    file = tmp_path / "pod.json"
    file.write_text(json.dumps({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": words[2]}} | overrides))
    subprocess.run([BIN / "kubernetes-validate", "--strict", file], check=True)


def test_an_upgrade_waits_for_each_job() -> None:
    """The second job fails for a difference, and its log cannot be read before its container runs.

    Where the first one fails, nobody waits for ten minutes: then its deadline deletes the pod, with the log.
    """
    shown = re.search(r"^kubectl replace .*?^```", DEPLOYMENT, re.MULTILINE | re.DOTALL)
    assert shown
    lines = shown[0].splitlines()
    ended, complete = ("jsonpath={.status.conditions}", "10m"), ("condition=complete", "10s")
    for folder, waits in {"upgrade/before": (ended, complete), "upgrade/after": (ended,)}.items():
        (job,) = [o["metadata"]["name"] for o in objects(folder) if o["kind"] == "Job"]
        at = lines.index(f"kubectl replace --force -k deploy/kubernetes/{folder}")
        for line, (end, timeout) in zip(lines[at + 1 :], waits, strict=False):
            assert shlex.split(line) == ["kubectl", "wait", f"--for={end}", f"--timeout={timeout}", f"job/{job}"]
        manifest = (MANIFESTS / folder / "kustomization.yaml").read_text()
        assert all(f"#   {line}\n" in manifest for line in lines[at : at + 1 + len(waits)])


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
    assert "create secret generic attune-ops " in DEPLOYMENT
    assert "second Secret, `attune-ops-reap`, with the same keys" in DEPLOYMENT


def test_what_a_prometheus_operator_gets_fits_what_serves() -> None:
    things = {o["kind"]: o for o in [*objects("base"), *objects("monitoring")] if o["kind"] != "CronJob"}
    labels = things["Deployment"]["spec"]["template"]["metadata"]["labels"]
    assert things["Service"]["spec"]["selector"].items() <= labels.items()
    monitor = things["ServiceMonitor"]["spec"]
    assert monitor["selector"]["matchLabels"].items() <= things["Service"]["metadata"]["labels"].items()
    printed = subprocess.run([BIN / "attune-ops", "monitoring", "rules"], capture_output=True, text=True, check=True)
    assert things["PrometheusRule"]["spec"] == yaml.safe_load(printed.stdout)
    assert monitor["endpoints"][0]["port"] == things["Service"]["spec"]["ports"][0]["name"]
