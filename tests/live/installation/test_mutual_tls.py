"""RabbitMQ's own TLS listeners, which demand a client certificate: AMQP and management API."""

from __future__ import annotations

import json
import os
import secrets
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from attune_ops import lab
from tests.conftest import end_lab
from tests.world import Run

NAME = "rabbit.test"  # in the broker's certificate; nothing resolves it


def openssl(folder: Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=folder, check=True, capture_output=True)


def authority(folder: Path, name: str) -> None:
    openssl(folder, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "60", "-subj", f"/CN={name}",
            "-keyout", f"{name}.key", "-out", f"{name}.pem")  # fmt: skip


def certificate(folder: Path, name: str, issuer: str) -> None:
    """NAME.pem and NAME.key, signed by the authority."""
    openssl(folder, "req", "-newkey", "rsa:2048", "-nodes", "-subj", f"/CN={name}", "-keyout", f"{name}.key",
            "-out", f"{name}.csr", "-addext", f"subjectAltName=DNS:{name}")  # fmt: skip
    openssl(folder, "x509", "-req", "-in", f"{name}.csr", "-CA", f"{issuer}.pem", "-CAkey", f"{issuer}.key",
            "-CAcreateserial", "-days", "60", "-copy_extensions", "copy", "-out", f"{name}.pem")  # fmt: skip


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("pki")
    for name in ("ca", "other"):
        authority(folder, name)
    certificate(folder, NAME, "ca")
    certificate(folder, "client", "ca")
    certificate(folder, "stranger", "other")
    (folder / "both.pem").write_text((folder / "client.pem").read_text() + (folder / "client.key").read_text())
    openssl(folder, "rsa", "-aes128", "-passout", "pass:secret", "-in", "client.key", "-out", "locked.key")
    return folder


@pytest.fixture(scope="module")
def urls(files: Path) -> Iterator[dict[str, str]]:
    """The variables that point at the TLS listeners, with the right certificates."""
    amqp, management = free_port(), free_port()
    config = [f"listeners.ssl.1 = 127.0.0.1:{amqp}", f"management.ssl.port = {management}",
              "management.ssl.ip = 127.0.0.1"]  # fmt: skip
    for prefix in ("ssl_options", "management.ssl"):
        config += [
            f"{prefix}.cacertfile = {files}/ca.pem",
            f"{prefix}.certfile = {files}/{NAME}.pem",
            f"{prefix}.keyfile = {files}/{NAME}.key",
            f"{prefix}.verify = verify_peer",
            f"{prefix}.fail_if_no_peer_cert = true",
        ]
    name = f"t{secrets.token_hex(4)}"
    made = lab.up(name, server=os.environ.get("ATTUNE_OPS_TEST_SERVER"), config=config)
    try:
        login = f"{made.state.user}:{made.state.password.reveal()}"
        yield {
            "ATTUNE_OPS_AMQP_URL": f"amqps://{login}@127.0.0.1:{amqp}/",
            "ATTUNE_OPS_MANAGEMENT_URL": f"https://127.0.0.1:{management}",
            "ATTUNE_OPS_CA_FILE": f"{files}/ca.pem",
            "ATTUNE_OPS_CERT_FILE": f"{files}/client.pem",
            "ATTUNE_OPS_KEY_FILE": f"{files}/client.key",
            "ATTUNE_OPS_TLS_SERVER_NAME": NAME,
        }
    finally:
        end_lab(name)


def test_with_a_client_certificate_everything_is_reached(urls: dict[str, str], files: Path, run: Run) -> None:
    for more in ({}, {"ATTUNE_OPS_TLS_MIN_VERSION": "1.3"}):
        assert "AMQP responds" in run("health", "broker", env=urls | more, status=0).stdout
        run("doctor", "--only", "AT101,AT102,AT109", env=urls | more, status=0)
    one_file = {k: v for k, v in urls.items() if k != "ATTUNE_OPS_KEY_FILE"}
    run("queues", env=one_file | {"ATTUNE_OPS_CERT_FILE": f"{files}/both.pem"}, status=0)
    url, management = urls["ATTUNE_OPS_AMQP_URL"], urls["ATTUNE_OPS_MANAGEMENT_URL"]
    (run.folder / "attune-ops.toml").write_text(
        f'[env.tls]\namqp_url = "{url}"\nmanagement_url = "{management}"\nca_file = "{files}/ca.pem"\n'
        f'cert_file = "{files}/both.pem"\ntls_server_name = "{NAME}"\ntls_min_version = "1.2"\n'
    )
    run("exchanges", "--env", "tls", status=0)
    assert NAME in run("config", "show", "--env", "tls", status=0).stdout


TLS = ("CA_FILE", "CERT_FILE", "KEY_FILE", "TLS_SERVER_NAME")


def test_the_options_do_what_the_variables_do(urls: dict[str, str], files: Path, run: Run) -> None:
    env = {name: value for name, value in urls.items() if name.endswith("_URL")}
    given = {f"--{name.lower().replace('_', '-')}": urls[f"ATTUNE_OPS_{name}"] for name in TLS}
    options = [word for pair in given.items() for word in pair]
    assert "AMQP responds" in run("health", "broker", *options, env=env, status=0).stdout
    run(*options, "--tls-min-version", "1.3", "queues", env=env, status=0)
    report = json.loads(run("doctor", *options, "--topology", "attune-2026-01", "--json", env=env).stdout)
    assert {c["code"]: c["status"] for c in report["checks"]}["AT102"] == "ok"
    printed = [command for finding in report["findings"] for command in finding["commands"] + finding["looks"]]
    ours = [command for command in printed if command.startswith("attune-ops ")]
    assert ours, "the doctor prints a command for a broker without Attune's topology"
    assert all(f"--cert-file {files}/client.pem" in command for command in ours)
    # Each beats its variable, and is named where it is at fault.
    assert run("queues", "--cert-file", f"{files}/none.pem", env=urls, status=2).stderr.startswith(
        f"attune-ops: cannot use cert_file '{files}/none.pem'"
    )
    alone = run("queues", "--key-file", f"{files}/client.key", env=env, status=2).stderr
    assert "--key-file: key_file without cert_file" in alone
    assert "--tls-min-version: found '1.1'" in run("queues", "--tls-min-version", "1.1", env=urls, status=2).stderr
    refused = run("queues", *options[2:], env=env, status=3).stderr
    assert "set ca_file to its authority (--ca-file" in refused


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CERT_FILE": None, "KEY_FILE": None}, "may demand a client certificate"),
        ({"CERT_FILE": "stranger.pem", "KEY_FILE": "stranger.key"}, "client certificate"),
        ({"CA_FILE": "other.pem"}, "its certificate is not trusted for this host; set ca_file to its authority"),
        ({"TLS_SERVER_NAME": None}, "it is for another name: set tls_server_name"),
    ],
)
def test_what_the_server_refuses_or_is(
    urls: dict[str, str], files: Path, run: Run, change: dict[str, str | None], says: str
) -> None:
    env = changed(urls, files, change)
    for command in ("health broker", "doctor --only AT101 --fail-on info", "queues"):
        done = run(*command.split(), env=env)
        assert done.returncode == (3 if command != "doctor" else done.returncode)
        assert done.returncode != 0
        assert says in done.stderr + " ".join(done.stdout.split()), (command, done.stderr, done.stdout)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"CA_FILE": "none.pem"}, "cannot use ca_file '{files}/none.pem': No such file"),
        ({"CERT_FILE": "none.pem"}, "cannot use cert_file '{files}/none.pem': No such file"),
        ({"KEY_FILE": "none.key"}, "cannot use key_file '{files}/none.key': No such file"),
        ({"KEY_FILE": "ca.pem"}, "cannot use key_file '{files}/ca.pem': it contains no private key in PEM form"),
        ({"CERT_FILE": "ca.key"}, "cannot use cert_file '{files}/ca.key': it contains no certificate in PEM form"),
        ({"KEY_FILE": "other.key"}, "key_file '{files}/other.key': the key is not that of the certificate"),
        ({"KEY_FILE": "locked.key"}, "cannot use key_file '{files}/locked.key': the key has a passphrase"),
        ({"CERT_FILE": None}, "ATTUNE_OPS_KEY_FILE: key_file without cert_file"),
        ({"TLS_MIN_VERSION": "1.1"}, "ATTUNE_OPS_TLS_MIN_VERSION: found '{files}/1.1'; allowed is 1.2 or 1.3"),
    ],
)
def test_files_that_cannot_be_used(
    urls: dict[str, str], files: Path, run: Run, change: dict[str, str | None], says: str
) -> None:
    for command in ("health broker", "queues"):
        done = run(*command.split(), env=changed(urls, files, change), status=2)
        assert says.replace("{files}", str(files)) in done.stderr
        assert done.stderr.count("\n") == 1


def changed(urls: dict[str, str], files: Path, change: dict[str, str | None]) -> dict[str, str]:
    made = dict(urls)
    for name, value in change.items():
        if value is None:
            del made[f"ATTUNE_OPS_{name}"]
        else:
            made[f"ATTUNE_OPS_{name}"] = f"{files}/{value}"
    return made
