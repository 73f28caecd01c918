"""The words that a script uses are in the documentation, where a reader looks for them, and in the product."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any, get_args

import msgspec
import pytest

from attune_ops.cli import _schemas
from attune_ops.doctor.findings import SubjectKind
from attune_ops.inventory import orphans, workers
from attune_ops.model.snapshot import BrokerSnapshot
from tests.cli.commands import ALL

DOCS = Path(__file__).parents[2] / "docs"


def page(name: str) -> str:
    return re.sub(r"\s+", " ", (DOCS / name).read_text())


def test_every_kind_of_subject() -> None:
    row = re.search(r"`subject.kind` of a finding is one of ([^.]+)\.", page("doctor.md"))
    assert row
    assert re.findall("`(.+?)`", row[1]) == list(get_args(SubjectKind))


@pytest.mark.parametrize("member", ["count", "consequence_counts", "truncated", "docs", "env"])
def test_members_of_a_finding(member: str) -> None:
    assert f"`{member}`" in page("doctor.md")
    assert f'"{member}"' in json.dumps(_schemas.schema("finding" if member != "env" else "doctor-all"))


@pytest.mark.parametrize(
    "member", ["removed", "dead_lettered", "others_may_declare", "other_vhosts_used", "user_permissions"]
)
def test_members_of_a_snapshot(member: str) -> None:
    assert member in {field.name for field in msgspec.structs.fields(BrokerSnapshot)}
    assert f"`{member}`" in page("commands.md")


def test_the_column_process() -> None:
    for table in (workers, orphans):
        assert "process" in [column.name for column in table.COLUMNS]
    assert "column `process`" in page("commands.md")


def options(name: str) -> set[str]:
    command: Any = ALL[name]
    return {option for parameter in command.params for option in parameter.opts}


@pytest.mark.parametrize(
    ("command", "option", "where"),
    [
        ("doctor", "--full", "doctor.md"),
        ("doctor", "--all-envs", "doctor.md"),
        ("serve", "--all-envs", "monitoring.md"),
        *[
            ("doctor", option, "configuration.md")
            for option in ("--ca-file", "--cert-file", "--key-file", "--tls-server-name", "--tls-min-version")
        ],
    ],
)
def test_options(command: str, option: str, where: str) -> None:
    assert option in options(command)
    assert f"`{option}" in page(where) or f" {option}" in page(where)


@pytest.mark.parametrize(
    ("words", "where"),
    [
        ("`docs_url`", "configuration.md"),
        ("config schema NAME", "configuration.md"),
        ("ATTUNE_OPS_DOCS_URL", "configuration.md"),
        ("`attune-ops/doctor-all/1`", "doctor.md"),
        ("label `env`", "monitoring.md"),
        ("`watch` ends with it where the last reading did not see everything", "commands.md"),
    ],
)
def test_other_words(words: str, where: str) -> None:
    assert words in page(where)
