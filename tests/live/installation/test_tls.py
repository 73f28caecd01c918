"""TLS in front of a real broker: trusted by `ca_file`, refused without it, and how long the certificate lasts."""

from __future__ import annotations

import contextlib
import socket
import ssl
import subprocess
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from urllib.parse import urlsplit

import pytest

from attune_ops.doctor.findings import CheckResult, CheckStatus, Report
from attune_ops.installation.collect import collect
from attune_ops.installation.config import Settings, resolve
from attune_ops.model.errors import ConfigError
from attune_ops.model.facts import Source
from attune_ops.ops import Ops
from tests.servers import forward, server
from tests.world import Run, Vhost

DAYS = 40


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A self-signed certificate for localhost with its key in one file; it is its own authority."""
    folder = tmp_path_factory.mktemp("tls")
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", str(DAYS), "-subj", "/CN=localhost",
         "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "certificate"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    both = folder / "both.pem"
    both.write_text((folder / "key").read_text() + (folder / "certificate").read_text())
    return both


@contextlib.contextmanager
def encrypted(address: str, certificate: Path, most: int = 1000) -> Iterator[int]:
    """A port that takes TLS and passes everything on to a host:port; from the `most`th connection on it hangs up."""
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate)
    left = iter(range(most))

    def wrap(client: socket.socket) -> socket.socket:
        if next(left, None) is None:
            raise ConnectionAbortedError
        return context.wrap_socket(client, server_side=True)

    with server(partial(forward, address=address), wrap=wrap) as port:
        yield port


@pytest.fixture
def behind_tls(vhost: Vhost, certificate: Path) -> Iterator[dict[str, str]]:
    """The options that point at the broker through TLS."""
    login = urlsplit(vhost.amqp_url).netloc.rpartition("@")[0]
    broker = vhost.broker
    with (
        encrypted(broker.amqp_address, certificate) as amqp,
        encrypted(broker.management_address, certificate) as management,
    ):
        yield {
            "amqp_url": f"amqps://{login}@localhost:{amqp}/{vhost.quoted}",
            "management_url": f"https://localhost:{management}",
        }


def trusting(options: dict[str, str], folder: Path, ca_file: Path) -> Settings:
    (folder / "attune-ops.toml").write_text(
        f'[env.tls]\namqp_url = "{options["amqp_url"]}"\nmanagement_url = "{options["management_url"]}"\n'
        f'ca_file = "{ca_file}"\n'
    )
    return resolve({"config": str(folder / "attune-ops.toml"), "env": "tls"}, {})


def test_trusted(behind_tls: dict[str, str], certificate: Path, run: Run) -> None:
    facts = collect(trusting(behind_tls, run.folder, certificate), {Source.AMQP, Source.MANAGEMENT, Source.BROKER})
    assert {r.source: (r.error, r.certificate_days) for r in facts.reach} == {
        Source.AMQP: (None, DAYS - 1),
        Source.MANAGEMENT: (None, DAYS - 1),
    }
    assert facts.actual.exchanges
    assert "AMQP responds" in run("health", "broker", "--env", "tls", status=0).stdout


def test_not_trusted(behind_tls: dict[str, str]) -> None:
    facts = collect(resolve(behind_tls, {}), {Source.AMQP, Source.MANAGEMENT})
    for source in (Source.AMQP, Source.MANAGEMENT):
        assert "its certificate is not trusted for this host; set ca_file to its authority" in facts.missing[source]


def certificate_check(report: Report) -> CheckResult:
    return next(r for r in report.results if r.code == "AT109")


def test_a_certificate_that_was_not_read_is_not_fine(
    behind_tls: dict[str, str], vhost: Vhost, certificate: Path, run: Run
) -> None:
    """AMQPS is not trusted, or takes the first connection only; the management API is fine."""
    plain = behind_tls | {"management_url": vhost.management_url}
    result = certificate_check(Ops(resolve(plain, {})).doctor(["AT109"]))
    assert result.status is CheckStatus.SKIPPED
    assert result.reason is not None
    assert result.reason.startswith("a certificate was not read: AMQP amqps://")
    assert "its certificate is not trusted for this host" in result.reason

    login = urlsplit(behind_tls["amqp_url"]).netloc.rpartition("@")[0]
    with encrypted(vhost.broker.amqp_address, certificate, most=1) as port:
        once = {"amqp_url": f"amqps://{login}@localhost:{port}/{vhost.quoted}", "management_url": vhost.management_url}
        report = Ops(trusting(once, run.folder, certificate)).doctor(["AT109"])
    assert next(r for r in report.facts.reach if r.source is Source.AMQP).error is None
    result = certificate_check(report)
    assert result.status is CheckStatus.SKIPPED
    assert "cannot read its certificate" in str(result.reason)

    both = Ops(trusting(behind_tls, run.folder, certificate)).doctor(["AT109"])
    assert certificate_check(both).status is CheckStatus.PASSED


def test_not_trusted_by_a_probe(behind_tls: dict[str, str], vhost: Vhost, run: Run) -> None:
    options = [f"--amqp-url={behind_tls['amqp_url']}", f"--management-url={behind_tls['management_url']}"]
    said = run("health", "broker", *options, status=3).stderr
    assert said.startswith("attune-ops: AMQP amqps://")
    assert "its certificate is not trusted for this host" in said
    options[0] = f"--amqp-url={vhost.amqp_url}"
    assert "its certificate is not trusted" in run("health", "broker", *options, status=3).stderr


def test_plain_where_tls_is_spoken(behind_tls: dict[str, str], run: Run) -> None:
    plain = {name: url.replace("s://", "://") for name, url in behind_tls.items()}
    facts = collect(resolve(plain, {}), {Source.AMQP, Source.MANAGEMENT})
    assert "does not speak AMQP (an HTTP or TLS port?)" in facts.missing[Source.AMQP]
    assert "the port is correct" in facts.missing[Source.MANAGEMENT]


@pytest.mark.parametrize("content", [None, "no certificate"])
def test_a_ca_file_that_is_none(behind_tls: dict[str, str], run: Run, tmp_path: Path, content: str | None) -> None:
    ca_file = tmp_path / "ca.pem"
    if content is not None:
        ca_file.write_text(content)
    with pytest.raises(ConfigError, match="cannot use ca_file"):
        trusting(behind_tls, run.folder, ca_file)
    for command in ("health broker", "queues"):
        said = run(*command.split(), "--env", "tls", status=2).stderr
        assert said.startswith(f"attune-ops: cannot use ca_file '{ca_file}': ")
        assert said.count("\n") == 1
