"""The report to send: one small file, sound without JavaScript, that nothing hostile or secret gets through."""

from __future__ import annotations

import base64
import hashlib
import re
from datetime import timedelta
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path

import msgspec
import pytest

from attune_ops.doctor.diagnosis import read_and_diagnose
from attune_ops.doctor.html_report import report_html, write_report
from attune_ops.installation.config import check_settings
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Facts, Source
from attune_ops.model.snapshot import ConnectionState
from attune_ops.model.snapshot_file import load_facts
from tests.hostile import NAMES, is_safe
from tests.unit.doctor.checks.world import change, healthy
from tests.unit.facts import NOW, queue, worker

QUEUES = tuple(healthy().actual.queue_named.values())
VOID = {"meta", "br", "rect", "path", "input"}


class Page(HTMLParser):
    """A page's elements in order, and what stands in them; fails where they do not nest."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.texts: list[tuple[str, str]] = []
        self.open: list[str] = []
        self.feed(page)
        assert not self.open, self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag, (tag, self.getpos())

    def handle_data(self, data: str) -> None:
        if self.open:
            self.texts.append((self.open[-1], data))

    def attributes(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    def text_of(self, tag: str) -> list[str]:
        return [text for name, text in self.texts if name == tag]


def page_of(facts: Facts) -> str:
    return report_html(read_and_diagnose(lambda: facts, check_settings({})))


def test_it_asks_nothing_of_the_network() -> None:
    page = page_of(healthy())
    found = Page(page)
    tags = {tag for tag, _ in found.elements}
    assert not tags & {"link", "img", "iframe", "object", "embed", "video", "audio", "base", "form"}
    assert all(a.keys().isdisjoint({"src", "srcset", "background", "xlink:href"}) for _, a in found.elements)
    links = [a["href"] or "" for a in found.attributes("a")]
    assert links
    assert all(href.startswith(("#", "data:application/gzip;base64,")) for href in links)
    assert not re.search(r"@import|url\((?!#)", page)
    script = "".join(found.text_of("script"))
    digest = base64.b64encode(hashlib.sha256(script.encode()).digest()).decode()
    (policy,) = [a["content"] or "" for a in found.attributes("meta") if "http-equiv" in a]
    assert policy.startswith("default-src 'none';")
    assert f"script-src 'sha256-{digest}'" in policy


def test_it_reads_without_javascript_and_by_ear() -> None:
    page = Page(page_of(healthy()))
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch("h[1-6]", tag)]
    assert levels[0] == 1
    assert levels.count(1) == 1
    assert all(b <= a + 1 for a, b in pairwise(levels)), "no level is left out"
    assert all("scope" in a for a in page.attributes("th"))
    assert page.attributes("html") == [{"lang": "en"}]
    assert all(a.get("role") == "img" or a.get("aria-hidden") for a in page.attributes("svg"))
    ids = [a["id"] for _, a in page.elements if "id" in a]
    assert len(ids) == len(set(ids))
    assert {(a["href"] or "")[1:] for a in page.attributes("a") if (a["href"] or "").startswith("#")} <= set(ids)
    assert not page.attributes("button"), "what only works with JavaScript is made by it"


def test_it_holds_every_table_the_numbers_and_the_findings() -> None:
    facts = change(healthy(), queues=(*QUEUES, queue("heap", messages=4321, consumers=0)))
    page = Page(page_of(facts))
    assert {"Queues", "Workers", "Orphans", "Bindings", "Exchanges", "Consumers", "Findings", "Topology"} <= set(
        page.text_of("h2")
    )
    assert "4321" in page.text_of("td")
    assert "heap" in page.text_of("th"), "it is in the chart of depths"
    assert any("AT6" in text for text in page.text_of("span"))
    assert page.text_of("dt")[:4] == ["errors", "live workers", "messages", "orphaned queues"]
    assert "4,321 in queues without a consumer" in page.text_of("dd")
    assert any(text.startswith("attune.events.queue receives messages") for text in page.text_of("h3"))


@pytest.mark.parametrize(("messages", "says"), [(None, "with 0 messages"), (4, "with 4 messages")])
def test_what_is_in_orphaned_queues(messages: int | None, says: str) -> None:
    orphan = queue("worker.9.executions", messages=messages)
    page = Page(page_of(change(healthy(), queues=(*QUEUES, orphan))))
    assert says in page.text_of("dd")


def test_a_number_that_was_not_read_is_no_zero() -> None:
    facts = msgspec.structs.replace(healthy(), registry=None, missing={Source.REGISTRY: "no database URL"})
    page = Page(page_of(facts))
    assert page.text_of("dd")[2:4] == ["—", "the registry was not read"]
    assert "broker and registry are needed" in page.text_of("dd")


def test_the_snapshot_is_attached(tmp_path: Path) -> None:
    facts = healthy()
    found = re.search(r'download="snapshot.json.gz" href="data:application/gzip;base64,([^"]+)"', page_of(facts))
    assert found is not None
    (tmp_path / "s").write_bytes(base64.b64decode(found[1]))
    assert load_facts(str(tmp_path / "s")).actual == facts.actual


def test_hostile_names_do_nothing() -> None:
    facts = healthy(workers=tuple(worker(i, name=name) for i, name in enumerate(NAMES, 1)))
    lost = tuple(queue(f"worker.{n}.executions" + name) for n, name in enumerate(NAMES))
    facts = change(
        facts, queues=(*facts.actual.queue_named.values(), *(queue(name, messages=7) for name in NAMES), *lost)
    )
    made = page_of(facts)
    page = Page(made)
    assert is_safe(made)
    assert len(page.attributes("script")) == 1
    assert not page.attributes("img")
    assert not [name for _, a in page.elements for name in a if name.startswith("on")]


def test_no_password_gets_there() -> None:
    connection = ConnectionState("c", "/", client_name="amqp://u:hunter2@h/v", connected_at=NOW - timedelta(hours=9))
    facts = change(healthy(), connections=(connection,))
    facts = msgspec.structs.replace(facts, missing={Source.NODES: "amqp://u:hunter2@h refused"})
    page = page_of(facts)
    assert "hunter2" not in page
    assert "amqp://u:***@h refused" in page


def test_without_a_broker_it_says_why() -> None:
    facts = msgspec.structs.replace(healthy(), broker=None, missing={Source.BROKER: "h:15672 refused the connection"})
    texts = " ".join(text for _, text in Page(page_of(facts)).texts)
    assert "Table queues is missing: " in texts
    assert "h:15672 refused the connection" in texts


def test_a_thousand_workers_are_a_small_file() -> None:
    workers = tuple(worker(i, last_heartbeat=NOW - timedelta(hours=i % 2)) for i in range(1, 1001))
    facts = healthy(workers=workers)
    ailing = change(
        facts,
        consumers=(),
        queues=tuple(msgspec.structs.replace(q, messages=9) for q in facts.actual.queue_named.values()),
    )
    assert len(page_of(ailing).encode()) <= 2_000_000


def test_a_table_says_that_it_was_cut_off() -> None:
    report, count = read_and_diagnose(lambda: healthy(), check_settings({})), len(QUEUES)
    said = f"of {count:,} rows; the attached snapshot has the data of all."
    assert f"The first {count - 1:,} {said}" in report_html(report, rows=count - 1)
    assert said not in report_html(report, rows=count)


def test_a_number_that_is_shown_rounded_is_sorted_by_its_value() -> None:
    page = page_of(change(healthy(), queues=(queue("q", messages=4321, message_bytes=5000, publish_rate=12.345),)))
    assert '<td data-k="5000">4.88 KiB</td>' in page
    assert '<td data-k="12.345">12.3</td>' in page
    assert "<td>4321</td>" in page, "it is shown as it is"


def test_a_file_that_exists_stays(tmp_path: Path) -> None:
    report = read_and_diagnose(healthy, check_settings({}))
    file = tmp_path / "report.html"
    assert write_report(report, str(file)) == file.stat().st_size
    with pytest.raises(ConfigError, match="the file exists"):
        write_report(report, str(file))
    write_report(report, str(file), replace=True)
    assert [p.name for p in tmp_path.iterdir()] == ["report.html"]
