#!/usr/bin/env python3
"""Runs one command of attune-ops for Attune: JSON parameters on standard input, the command's JSON on standard output.

The worker sets ATTUNE_ACTION to the action's ref; its last part is the command. Parameters that nobody gave are left
out. The exit status is the command's: 0, 1 for findings, 2 for wrong parameters, 3 for what could not be read. So the
execution fails exactly where the command does.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from typing import Any


def arguments(command: str, parameters: dict[str, Any]) -> list[str]:
    """The command line of the parameters; a value that begins with a dash stays a value."""
    if command == "doctor":
        only = [f"--only={parameters['only']}"] if parameters.get("only") else []
        return ["doctor", "--format=json", f"--fail-on={parameters.get('fail_on', 'error')}", *only]
    if command == "orphans":
        return ["orphans", "--format=json"]
    if command == "reap":
        apply = ["--apply"] if parameters.get("apply") is True else []
        grace, pattern = parameters.get("grace", "20m"), parameters.get("pattern", "worker.*")
        return ["reap", "--format=json", f"--grace={grace}", *apply, "--", pattern]
    raise SystemExit(f"unknown command: {command!r}")


def alert(finding: dict[str, Any], taken_at: str) -> dict[str, Any]:
    """The payload of core.alert for a finding of the doctor."""
    subject = finding["subject"]
    return {
        "severity": finding["severity"],
        "category": "message_queue",
        "failure_type": finding["code"],
        "component_type": subject["kind"],
        "component_ref": subject["name"],
        "observed_at": taken_at,
        "summary": finding["title"],
        "details": {"detail": finding["detail"], "remedy": finding["remedy"], "commands": finding["commands"]},
        "correlation_id": f"{finding['code']}:{subject.get('vhost')}:{subject['kind']}:{subject['name']}",
    }


def raise_alerts(report: dict[str, Any]) -> dict[str, Any]:
    """Creates one core.alert event for each error; the token is that of the execution."""
    url, token = os.environ.get("ATTUNE_API_URL", ""), os.environ.get("ATTUNE_API_TOKEN", "")
    raised = 0
    for finding in report["findings"]:
        if finding["severity"] != "error":
            continue
        body = json.dumps({"trigger_ref": "core.alert", "payload": alert(finding, report["taken_at"])}).encode()
        request = urllib.request.Request(
            f"{url.rstrip('/')}/api/v1/events",
            body,
            {"Content-Type": "application/json", "Authorization": f"Bearer {token}"},
        )
        try:
            with urllib.request.urlopen(request, timeout=10):
                raised += 1
        except (urllib.error.URLError, OSError, ValueError) as error:
            return {"raised": raised, "error": f"POST /api/v1/events: {error}"}
    return {"raised": raised, "error": None}


def main() -> int:
    """Runs the command and prints its JSON."""
    text = sys.stdin.read()
    parameters = json.loads(text) if text.strip() else {}
    command = os.environ.get("ATTUNE_ACTION", "").rpartition(".")[2]
    environment = dict(os.environ)
    if parameters.get("state_folder"):
        environment["XDG_STATE_HOME"] = parameters["state_folder"]
    line = [sys.executable, "-m", "attune_ops", *arguments(command, parameters)]
    done = subprocess.run(line, stdout=subprocess.PIPE, env=environment, check=False)
    if done.stdout and parameters.get("raise_alerts") is True:
        report = json.loads(done.stdout)
        json.dump({**report, "alerts": raise_alerts(report)}, sys.stdout)
    else:
        sys.stdout.buffer.write(done.stdout)
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
