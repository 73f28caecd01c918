"""`serve --env a --env b`: one address, each metric with the label `env`."""

from __future__ import annotations

import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import pyarrow.parquet as pq
import pytest
from prometheus_client.parser import text_string_to_metric_families

from attune_ops.ops import Ops
from tests.live.places import Place
from tests.world import Run, eventually

SECRET = "S3cret-of-serve-several"


class Served:
    """A running `serve` for the environments good, other and away."""

    def __init__(self, url: str, good: Place, other: Place, history: Path) -> None:
        self.url, self.good, self.other, self.history = url, good, other, history

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urlopen(self.url + path, timeout=20) as answer:
                return answer.status, answer.read().decode()
        except HTTPError as e:
            return e.code, e.read().decode()

    def values(self, path: str = "/metrics") -> dict[tuple[str, ...], float]:
        """Each sample by its name, environment and queue, if it has one."""
        families = text_string_to_metric_families(self.get(path)[1])
        found = dict[tuple[str, ...], float]()
        for sample in (s for f in families for s in f.samples):
            queue = sample.labels.get("queue")
            found[sample.name.removeprefix("attune_ops_"), sample.labels["env"], *([queue] if queue else [])] = (
                sample.value
            )
        return found


@pytest.fixture
def served(place: Callable[..., Place], run: Run, tmp_path: Path) -> Iterator[Served]:
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = f"127.0.0.1:{closed.getsockname()[1]}"
    good, other = place().populate(), place().populate()
    lines = [f'[env.away]\namqp_url = "amqp://u:{SECRET}@{nobody}/v"\nmanagement_url = "http://{nobody}"\n']
    for name, p in (("good", good), ("other", other)):
        said = {"amqp_url": p.vhost.amqp_url, "management_url": p.vhost.management_url}
        said |= {"database_url": p.database, "topology": "attune-2026-01"}
        lines += [f"[env.{name}]\nstale_after = 600\n" + "".join(f"{k} = {json.dumps(v)}\n" for k, v in said.items())]
    file = tmp_path / "several.toml"
    file.write_text("\n".join(lines))
    process = subprocess.Popen(
        [sys.executable, "-m", "attune_ops", "serve", "--all-envs", "--port", "0", "--interval", "1s",
         "--record", str(tmp_path / "history")],
        env=run.environment(env={"ATTUNE_OPS_CONFIG": str(file)}), stderr=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stderr is not None
    try:
        found = re.search(r"serving (\S+)/ and", line := process.stderr.readline())
        assert found, line
        yield Served(found[1], good, other, tmp_path / "history")
    finally:
        process.terminate()
        assert SECRET not in process.communicate(timeout=60)[1]


def test_each_environment_by_its_label(served: Served) -> None:
    queue = "attune.events.queue"

    def all_read() -> bool:
        now = served.values()
        read = [now.get(("reading_success", env)) for env in ("good", "other")]
        return read == [1, 1] and bool(now.get(("readings_total", "away"))) and ("queue_present", "good", queue) in now

    eventually(all_read, within=60)
    now = served.values()
    assert now["reading_success", "away"] == 0
    assert [now.get(("queue_present", env, queue)) for env in ("good", "other")] == [1, 1]
    text = served.get("/metrics")[1]
    heads = [line for line in text.splitlines() if line.startswith("# TYPE ")]
    assert len(heads) == len(set(heads)), "each family has one head"
    assert SECRET not in text

    served.other.vhost.api("DELETE", f"queues/{{vhost}}/{queue}")
    eventually(lambda: served.values()["queue_present", "other", queue] == 0, within=60)
    assert served.values()["queue_present", "good", queue] == 1
    assert {env for _, env, *_ in served.values("/env/other/metrics")} == {"other"}

    status, said = served.get("/healthz/broker")
    assert status == 503, "one of them is away"
    assert "good: healthy" in said
    assert "away: unknown" in said
    assert served.get("/env/good/healthz/broker")[0] == 200
    eventually(lambda: served.get("/env/good/healthz/worker/w1")[0] == 200, within=60)  # its consumer is listed late
    assert served.get("/env/away/readyz")[0] == 503
    assert served.get("/readyz")[0] == 503
    assert "NAME is away, good, other" in served.get("/healthz/worker/w1")[1]
    assert served.get("/env/nobody/readyz")[0] == 404
    status, page = served.get("/")
    assert (status, page.count('href="env/')) == (200, 3)
    assert served.get("/env/other/")[0] == 200
    assert "AT202" in served.get("/env/other/")[1]
    assert SECRET not in page
    each_is_recorded(served)


def each_is_recorded(served: Served) -> None:
    """In the history of its own virtual host; one that was never read has none, and says that it records nothing."""

    def recorded() -> bool:
        now = served.values()
        return [now.get(("recording_success", env)) for env in ("away", "good", "other")] == [0, 1, 1]

    eventually(recorded, within=60)
    for place in (served.good, served.other):
        assert len(Ops(place.settings).history.show(since="1h", folder=str(served.history)).rows) > 0
    assert len(list(served.history.glob("cluster=*/vhost=*"))) == 2
    rows = pq.read_table(served.history).to_pylist()
    assert len({r["recorder"] for r in rows}) == 2, "each has files of its own"
    assert SECRET not in str(rows)


def test_a_wrong_environment_is_refused_at_the_start(run: Run) -> None:
    (run.folder / "attune-ops.toml").write_text(
        '[env.a]\namqp_url = "amqp://u:p@127.0.0.1:1/v"\n[env.b]\namqp_url = "amqp://u@h/v"\npassword_env = "NOT_SET"\n'
    )
    done = run("serve", "--all-envs", "--port", "0", "--for", "1s", status=2)
    assert "NOT_SET is not set" in done.stderr
    assert len(done.stderr.splitlines()) == 1
