"""`attune-ops docs`: pages offline, their addresses in findings, rules and reports, and the browser."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import yaml

from attune_ops.doctor.checks import all_checks
from tests.world import Run, eventually

DOCS = Path(__file__).parents[2] / "docs"
SITE = "https://docs.example.com/attune-ops"


def test_without_an_argument_it_lists_every_page(run: Run) -> None:
    listed = json.loads(run("docs", "--json", status=0).stdout)
    titles = {row["page"]: row["title"] for row in listed["rows"]}
    assert {page.stem for folder in (DOCS, DOCS / "howto") for page in folder.glob("*.md")} == set(titles)
    assert "howto/monitoring-user.html" in {row["address"] for row in listed["rows"]}
    assert titles["permissions"] == "Permissions"


@pytest.mark.parametrize("word", ["AT401", "at401", "worker-queues"])
def test_a_check_prints_what_explain_prints(run: Run, word: str) -> None:
    for format in ("table", "json", "markdown", "csv"):
        printed = run("docs", word, "-o", format, status=0).stdout
        assert printed == run("doctor", "--explain", "AT401", "-o", format, status=0).stdout
        assert "AT401" in printed


def test_a_page_is_printed_whole(run: Run) -> None:
    for page in ("permissions", "deployment"):  # the first is the name of a check, too; the second has URLs
        text = (DOCS / f"{page}.md").read_text()
        for format in ("table", "markdown"):
            assert run("docs", page, "-o", format, status=0).stdout == text
    assert json.loads(run("docs", "permissions", "--json", status=0).stdout)["text"].startswith("# Permissions\n")


@pytest.mark.parametrize(
    ("word", "hint"),
    [("AT4011", "did you mean AT"), ("permission", "did you mean permissions"), ("xyz", "attune-ops docs lists")],
)
def test_an_unknown_code_is_one_line_and_status_2(run: Run, word: str, hint: str) -> None:
    for more in ((), ("--open",)):
        done = run("docs", word, *more, env={"ATTUNE_OPS_DOCS_URL": SITE}, status=2)
        assert done.stdout == ""
        assert done.stderr.count("\n") == 1
        assert done.stderr.startswith(f"attune-ops: no check or page {word!r}; {hint}")


def test_it_opens_the_browser_at_the_address_of_the_page(run: Run, tmp_path: Path) -> None:
    browser = tmp_path / "browser"
    browser.write_text(f'#!/bin/sh\necho "$1" >> {tmp_path}/opened\n')
    browser.chmod(0o755)
    (tmp_path / "own.toml").write_text(f'docs_url = "{SITE}/"\n')
    for words in (("AT401",), ("permissions",), ()):
        run("docs", *words, "--open", "--config", f"{tmp_path}/own.toml", env={"BROWSER": str(browser)}, status=0)
    pages = ("checks.html#at401-worker-queues", "permissions.html", "index.html")
    wanted = [f"{SITE}/{page}" for page in pages]
    assert eventually(lambda: (tmp_path / "opened").read_text().split() == wanted)


@pytest.mark.parametrize(
    "value",
    [
        "docs.example.com", "https://me:s3cretpw@docs.example.com", "https://a/b#c", "ftp://a",
        "https://s3cretpw@docs.example.com", "https://docs.example.com/?token=s3cretpw", "https://a/?m=a@b&t=s3cretpw",
        "https://me:x s3cretpw@docs.example.com", "https://me:x?s3cretpw@docs.example.com", "https://a/#s3cretpw",
    ],
)  # fmt: skip
def test_an_address_that_is_none_is_one_line_and_status_2(run: Run, tmp_path: Path, value: str) -> None:
    (tmp_path / "own.toml").write_text(f'docs_url = "{value}"\n')
    for given in ((), ("--config", f"{tmp_path}/own.toml")):
        done = run("docs", *given, env={} if given else {"ATTUNE_OPS_DOCS_URL": value}, status=2)
        assert done.stderr.count("\n") == 1
        assert ("docs_url" if given else "ATTUNE_OPS_DOCS_URL") in done.stderr
        assert "s3cretpw" not in done.stderr
        # A page itself needs no address: it is printed, without it.
        page = run("docs", "permissions", *given, env={} if given else {"ATTUNE_OPS_DOCS_URL": value}, status=0)
        assert "s3cretpw" not in page.stdout + page.stderr


def test_findings_and_alerts_carry_the_address_of_their_page(run: Run, tmp_path: Path) -> None:
    anchors = {c.code: c.anchor for c in all_checks()}
    (tmp_path / "defs.json").write_text(run("topology", "export", status=0).stdout)
    doctor = ("doctor", "--from", f"{tmp_path}/defs.json", "--fail-on", "never")
    inside = json.loads(run(*doctor, "--json", status=0).stdout)["findings"]
    assert inside
    assert all(f["docs"] == f"checks.html#{anchors[f['code']]}" for f in inside)
    published = {"ATTUNE_OPS_DOCS_URL": SITE}
    found = json.loads(run(*doctor, "--json", env=published, status=0).stdout)["findings"]
    assert [f["docs"] for f in found] == [f"{SITE}/{f['docs']}" for f in inside]
    assert f'<a href="{found[0]["docs"]}">' in run(*doctor, "-o", "html", env=published, status=0).stdout
    rules = yaml.safe_load(run("monitoring", "rules", env=published, status=0).stdout)["groups"][0]["rules"]
    (one,) = (r for r in rules if r["alert"] == "AttuneWorkerWithoutQueue")
    assert one["annotations"]["runbook_url"] == f"{SITE}/checks.html#{anchors['AT401']}"


def test_the_links_of_a_copied_notebook_lead_somewhere(run: Run) -> None:
    def copied(**env: str) -> str:
        file = run.folder / run("notebook", "open", "orphans", "--copy-only", env=env, status=0).stdout.strip()
        cells = json.loads(file.read_text())["cells"]
        file.unlink()
        return "\n".join("".join(cell["source"]) for cell in cells)

    anchors = {c.code: c.anchor for c in all_checks()}
    published = copied(ATTUNE_OPS_DOCS_URL=SITE)
    assert f"[AT407]({SITE}/checks.html#{anchors['AT407']})" in published
    offline = copied()
    assert "AT407 (`attune-ops docs AT407`)" in offline
    assert "](../" not in published + offline
