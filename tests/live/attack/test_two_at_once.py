"""Two runs at once on the same queue or the same file: nothing is lost, and one refuses where they would collide."""

from __future__ import annotations

import shlex
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.live.attack.proxy import Spent, spend
from tests.live.messages.ledger import fill, in_file, in_queue
from tests.live.messages.site import connect
from tests.live.messages.test_round_trip import declare
from tests.world import Vhost

pytestmark = pytest.mark.slow

COUNT = 6000
MOST_KB = 300 << 10
MOVE = "messages move q other --apply --timeout 5s"
DRAIN = "messages drain q --apply --timeout 5s --to"
RESTORE = "messages restore kept --apply --exchange= --routing-key=other --timeout 5s"
PAIRS = {
    "drain to one file": (f"{DRAIN} kept", f"{DRAIN} kept"),
    "drain to two files": (f"{DRAIN} kept", f"{DRAIN} kept2"),
    "move and move": (MOVE, MOVE),
    "drain and move": (f"{DRAIN} kept", MOVE),
    "there and back": (MOVE, "messages move other q --apply --timeout 5s"),
    "restore and restore": (RESTORE, RESTORE),
    "restore and drain": (RESTORE, f"{DRAIN} kept"),
}


@pytest.mark.parametrize("pair", PAIRS)
def test_nothing_is_lost(pair: str, vhost: Vhost, tmp_path: Path) -> None:
    declare(vhost, "q", "other")
    settings = connect(vhost).settings
    ids = fill(settings, "q", COUNT)

    def run(line: str) -> Spent:
        return spend(tmp_path, vhost.environment, *shlex.split(line))

    if "restore" in pair:
        assert run(f"{DRAIN} kept").status == 0
        if pair == "restore and drain":
            ids |= fill(settings, "q", COUNT)
    with ThreadPoolExecutor(2) as pool:
        both = list(pool.map(run, PAIRS[pair]))
    for done in both:
        assert "a bug" not in done.said, done
        refused = pair == "restore and drain" and "'kept' was restored" in done.said  # the restore was first
        assert done.status in ((2,) if refused else (0, 1)), done
        assert done.memory < MOST_KB
        if done.status:
            assert done.said.strip().count("\n") == 0, done
    found: Counter[str] = in_queue(settings, "q") + in_queue(settings, "other")
    for file in (tmp_path / "kept", tmp_path / "kept2"):
        if file.exists() and pair != "restore and restore":
            found += in_file(file)
    assert set(found) == ids, "lost"
    if "restore" not in pair:
        assert found.total() == COUNT, "without a kill nothing is there twice"
    if pair in ("drain to one file", "restore and restore"):
        ended = [done for done in both if done.status == 1]
        assert len(ended) < 2, both
        assert all("another" in done.said for done in ended), both
    if pair == "restore and restore":
        assert found.total() == COUNT, "published once"
