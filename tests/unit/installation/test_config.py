"""Where the tool is pointed: the settled order, passwords kept apart, and files that are wrong."""

from __future__ import annotations

import os
import shlex
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest

import attune_ops
from attune_ops.cli._config_tables import check_table, settings_table
from attune_ops.doctor.diagnose import verify
from attune_ops.doctor.findings import Severity
from attune_ops.installation.config import Settings, check_settings, resolve, running_lab
from attune_ops.installation.config import config_file as config_file
from attune_ops.model.errors import ConfigError, NoInstallation, TopologyError

OPTION, VARIABLE, ENVIRONMENT, ATTUNE_VARIABLE, ATTUNE_FILE = (
    f"amqp://{host}/v" for host in ("option", "variable", "environment", "attune-variable", "attune-file")
)


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty current folder, and no configuration nor lab of the user's."""
    here = tmp_path / "here"
    here.mkdir()
    monkeypatch.chdir(here)
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "config"))
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    return here


def at(settings: Settings) -> str:
    return f"{settings.amqp.scheme}://{settings.amqp.address}/{settings.vhost}"


@pytest.mark.parametrize("first", range(5))
def test_order(folder: Path, first: int) -> None:
    (folder / "attune-ops.toml").write_text(f'[env.prod]\namqp_url = "{ENVIRONMENT}"\n[env.bare]\n')
    (folder / "config.yaml").write_text(f"message_queue:\n  url: {ATTUNE_FILE}\n")
    options = {"attune_config": "config.yaml"} | ({"amqp_url": OPTION} if first == 0 else {})
    environ = {"ATTUNE_OPS_ENV": "prod" if first <= 2 else "bare"}
    environ |= {"ATTUNE_OPS_AMQP_URL": VARIABLE} if first <= 1 else {}
    environ |= {"ATTUNE__MESSAGE_QUEUE__URL": ATTUNE_VARIABLE} if first <= 3 else {}
    found = resolve(options, environ)
    expected = (OPTION, VARIABLE, ENVIRONMENT, ATTUNE_VARIABLE, ATTUNE_FILE)[first]
    assert at(found) == expected.removesuffix("/v") + ":5672/v"
    says = ("--amqp-url", "ATTUNE_OPS_AMQP_URL", "attune-ops.toml [env.", "ATTUNE__MESSAGE_QUEUE__URL", "config.yaml")
    assert found.origin["amqp"].startswith(says[first])


UI, METRICS = "http://ui.example:8080", "http://ui.example:9000/metrics"
FILE_OF_PROD = f"""
default_env = "prod"
[env.prod]
amqp_url = "amqp://prod/v"
management_url = "{UI}"
prometheus_url = "{METRICS}"
database_url = "sqlite:///prod.db"
protected = true
[env.ui]
management_url = "{UI}"
"""
PROD = "attune-ops.toml [env.prod]"
STAGING, STAGING_VARIABLE = {"amqp_url": "amqp://staging/v"}, {"ATTUNE_OPS_AMQP_URL": "amqp://staging/v"}
DERIVED = "http://staging:15672"
EXPECTED = f"The management API is expected at {DERIVED}; if it is elsewhere, give --management-url"
BOTH = f"management_url of {PROD}, prometheus_url of {PROD} are not used: {{}} names another broker. {EXPECTED}"
OF_VARIABLE = f"ATTUNE_OPS_MANAGEMENT_URL is not used: --amqp-url names another broker. {EXPECTED}"
METRICS_ONLY = f"prometheus_url of {PROD} is not used: --amqp-url names another broker"


@pytest.mark.parametrize(
    ("options", "environ", "management", "says"),
    [
        ({}, {}, UI, ""),
        (STAGING, {}, DERIVED, BOTH.format("--amqp-url")),
        ({}, STAGING_VARIABLE, DERIVED, BOTH.format("ATTUNE_OPS_AMQP_URL")),
        (STAGING | {"env": "prod"}, {}, DERIVED, BOTH.format("--amqp-url")),
        ({"amqp_url": "amqp://PROD:5673/other"}, {}, UI, ""),  # the same host
        (STAGING | {"management_url": "http://here"}, {}, "http://here:80", METRICS_ONLY),
        (STAGING, {"ATTUNE_OPS_MANAGEMENT_URL": "http://staging:81"}, "http://staging:81", METRICS_ONLY),
        (STAGING, {"ATTUNE_OPS_MANAGEMENT_URL": UI, "ATTUNE_OPS_ENV": "bare"}, DERIVED, OF_VARIABLE),
        (STAGING, STAGING_VARIABLE | {"ATTUNE_OPS_MANAGEMENT_URL": UI}, UI, METRICS_ONLY),
        ({"env": "ui"}, STAGING_VARIABLE, UI, ""),  # given at a higher point
        ({"amqp_url": "amqp://127.0.0.1"}, {"ATTUNE_OPS_MANAGEMENT_URL": "http://localhost:1"}, "http://localhost:1",
         METRICS_ONLY),
    ],
)  # fmt: skip
def test_an_amqp_url_does_not_take_the_management_api_of_another_broker(
    folder: Path, options: dict[str, str], environ: dict[str, str], management: str, says: str
) -> None:
    (folder / "attune-ops.toml").write_text(FILE_OF_PROD + "[env.bare]\n")
    found = resolve(options, environ)
    assert f"{found.management.scheme}://{found.management.address}" == management
    assert found.left_out == says
    assert says not in found.notes, "every command prints it"
    assert not any("--env prod takes precedence" in note for note in found.notes)
    assert found.prometheus is not None
    assert (found.prometheus.address == "ui.example:9000") is (management == UI and not says and "env" not in options)
    if found.env == "prod":
        assert found.protected
        assert found.database is not None


def test_the_password_of_another_management_api_is_left_out_with_it(folder: Path) -> None:
    (folder / "ui").write_text("s3cret\n")
    (folder / "attune-ops.toml").write_text(
        'default_env = "prod"\n[env.prod]\namqp_url = "amqp://prod"\nmanagement_url = "http://ui@prod"\n'
        'management_password_file = "ui"\n'
    )
    found = resolve({"amqp_url": "amqp://me:mine@staging"}, {})
    assert (str(found.management), found.management.password.reveal()) == ("http://me:***@staging:15672", "mine")


def test_the_settings_of_the_checks_need_no_password(folder: Path) -> None:
    (folder / "attune-ops.toml").write_text(
        'default_env = "prod"\n[env.prod]\namqp_url = "amqp://u:${NOT_SET}@h"\nmanagement_password_file = "none"\n'
        'database_url = "postgresql://u@h/d"\ndatabase_password_env = "NOT_SET"\ntopology = "${RELEASE}"\n'
    )
    found = check_settings({}, {"RELEASE": "attune-0.6"}).topology
    assert found is not None
    assert found.name == "attune-0.6"


def test_nothing_named_names_every_way() -> None:
    with pytest.raises(ConfigError) as e:
        resolve({}, {})
    for way in (
        "--amqp-url", "ATTUNE_OPS_AMQP_URL", "--env", "ATTUNE_OPS_ENV", "attune-ops.toml", "--attune-config",
        "ATTUNE_OPS_ATTUNE_CONFIG", "ATTUNE_CONFIG", "./config.yaml", "ATTUNE__MESSAGE_QUEUE__URL", "attune-ops lab up",
    ):  # fmt: skip
        assert way in str(e.value)


def lab(folder: Path, name: str = "default", port: int = 1) -> None:
    """A lab whose process is this one, as its state file describes it."""
    place = running_lab.lab_folder(name)
    place.mkdir(parents=True)
    started = running_lab.start_time(os.getpid())
    assert started is not None
    node = running_lab.LabNode("n", str(place), port, 2, 3, 4, running_lab.Process(os.getpid(), started))
    from datetime import UTC, datetime

    state = running_lab.RunningLab(
        name, str(place), "rabbitmq-server", "lab-user", (node,), 5, datetime.now(UTC), ready=True
    )
    (place / running_lab.STATE_FILE).write_bytes(msgspec.json.encode(state))
    (place / running_lab.PASSWORD_FILE).write_text("l@b")


def test_nothing_named_names_what_is_there(folder: Path) -> None:
    """A lab with another name than `default` and environments without a default one are found, but never guessed."""

    def error() -> str:
        with pytest.raises(NoInstallation) as e:
            resolve({}, {})
        return str(e.value)

    other = "; or name another: --amqp-url, --env, --attune-config, --lab"
    lab(folder, "two", 2)
    assert error() == f"no installation given: lab two is running: --lab two{other}"
    lab(folder, "rev2", 3)
    labs = "labs rev2, two are running: --lab NAME"
    (folder / "attune-ops.toml").write_text("[env.b]\n[env.a]\n")
    file = "attune-ops.toml has the environments a, b: --env NAME"
    assert error() == f"no installation given: {labs}; {file}{other}"
    for name in ("two", "rev2"):
        (running_lab.lab_folder(name) / running_lab.STATE_FILE).unlink()
    assert error() == f"no installation given: {file}{other}"


def test_the_lab_comes_last(folder: Path) -> None:
    lab(folder)
    found = resolve({}, {})
    assert (found.env, found.amqp.user, found.amqp.port, found.drills) == ("lab", "lab-user", 1, True)
    assert found.amqp.password.reveal() == "l@b"
    assert found.database is not None
    assert found.database.file.name == running_lab.REGISTRY_FILE
    assert at(resolve({}, {"ATTUNE_OPS_AMQP_URL": VARIABLE})).startswith("amqp://variable")


def test_the_lab_never_stands_in_for_a_named_environment(folder: Path) -> None:
    lab(folder)
    (folder / "attune-ops.toml").write_text("[env.prod]\nprotected = true\n")
    with pytest.raises(ConfigError, match="'prod' has no amqp_url"):
        resolve({"env": "prod"}, {})


def test_the_lab_can_be_asked_for(folder: Path) -> None:
    with pytest.raises(ConfigError, match="no lab 'default' is running"):
        resolve({}, {"ATTUNE_OPS_AMQP_URL": VARIABLE}, lab=True)
    lab(folder)
    (folder / "attune-ops.toml").write_text(f'default_env = "prod"\n[env.prod]\namqp_url = "{ENVIRONMENT}"\n')
    found = resolve({"topology": "attune-2026-09"}, {"ATTUNE_OPS_AMQP_URL": VARIABLE}, lab=True)
    assert (found.env, found.amqp.user, found.topology.name) == ("lab", "lab-user", "attune-2026-09")


TWO = {"lab": "two"}
TWO_VARIABLE = {"ATTUNE_OPS_LAB": "two"}


@pytest.mark.parametrize(
    ("options", "environ", "port"),
    [
        ({}, {}, 1),
        (TWO, {}, 2),
        ({}, TWO_VARIABLE, 2),
        ({"lab": "default"}, TWO_VARIABLE, 1),
        (TWO, {"ATTUNE_OPS_AMQP_URL": VARIABLE, "ATTUNE_OPS_DATABASE_URL": "sqlite:///x"}, 2),
        (TWO, {"ATTUNE_OPS_ENV": "prod", "ATTUNE_OPS_ATTUNE_CONFIG": "none.yaml"}, 2),
        ({"env": "prod"}, TWO_VARIABLE, 5672),
        ({"amqp_url": OPTION}, TWO_VARIABLE, 5672),
    ],
)
def test_one_of_several_labs(folder: Path, options: dict[str, str], environ: dict[str, str], port: int) -> None:
    lab(folder)
    lab(folder, "two", 2)
    (folder / "attune-ops.toml").write_text(f'[env.prod]\namqp_url = "{ENVIRONMENT}"\n')
    found = resolve(options, environ)
    assert (found.amqp.port, found.on_lab, found.lab) == (port, port < 9, {1: "default", 2: "two"}.get(port))
    if port == 2:
        assert (found.env, found.drills) == ("lab two", True)
        assert found.database is not None
        assert found.database.file.parent.name == "two"


def test_a_named_lab_goes_before_the_default_environment_and_keeps_other_variables(folder: Path) -> None:
    lab(folder, "two", 2)
    (folder / "attune-ops.toml").write_text(f'default_env = "prod"\n[env.prod]\namqp_url = "{ENVIRONMENT}"\n')
    found = resolve({}, TWO_VARIABLE | {"ATTUNE_OPS_TOPOLOGY": "attune-2026-09"})
    assert (found.amqp.port, found.topology.name) == (2, "attune-2026-09")


@pytest.mark.parametrize(
    ("options", "environ", "says"),
    [
        (TWO | {"env": "prod"}, {}, "--lab and --env each name"),
        (TWO | {"amqp_url": OPTION}, {}, "--lab and --amqp-url each name"),
        ({}, TWO_VARIABLE | {"ATTUNE_OPS_AMQP_URL": VARIABLE}, "ATTUNE_OPS_LAB and ATTUNE_OPS_AMQP_URL each name"),
        ({"lab": "three"}, {}, "no lab 'three' is running: attune-ops lab up --name three"),
        ({"lab": "../x"}, {}, "invalid lab name"),
    ],
)
def test_no_lab_is_guessed(folder: Path, options: dict[str, str], environ: dict[str, str], says: str) -> None:
    lab(folder, "two", 2)
    with pytest.raises(ConfigError, match=says):
        resolve(options, environ)


def test_python_names_a_lab(folder: Path) -> None:
    lab(folder)
    lab(folder, "two", 2)
    assert attune_ops.connect(lab="two").settings.amqp.port == 2
    assert attune_ops.connect(lab=True).settings.amqp.port == 1


def test_an_environment_says_everything(folder: Path) -> None:
    (folder / "secrets").mkdir()
    (folder / "secrets" / "rabbit").write_text("from a file\nsecond line\n")
    (folder / "ca.pem").write_text("-----BEGIN CERTIFICATE-----\n")
    (folder / "mine.toml").write_text('name = "mine"\nexchanges = [{ name = "x", type = "topic" }]\n')
    (folder / "ops.toml").write_text("""
default_env = "prod"
redact = ["card"]
[env.prod]
amqp_url = "amqps://attune@rabbit/%2f"
password_file = "secrets/rabbit"
management_url = "https://mon@rabbit:1234/api"
management_password_env = "WATCH"
database_url = "postgresql://attune:${DB}@db/attune"
database_schema = "a"
topology = "./mine.toml"
ca_file = "ca.pem"
worker_name = "w"
heartbeat_interval = 5
stale_after = 20
timeout = 2.5
protected = true
drills = true
[severities]
AT101 = "off"
AT102 = "info"
[thresholds]
backlog = 10
""")
    found = resolve({"config": "ops.toml"}, {"WATCH": "w@tch", "DB": "d/b"})
    assert found.env == "prod"
    assert (str(found.amqp), found.amqp.password.reveal()) == ("amqps://attune:***@rabbit:5671/%2F", "from a file")
    assert (str(found.management), found.management.password.reveal()) == ("https://mon:***@rabbit:1234", "w@tch")
    assert found.database is not None
    assert found.database.url.reveal() == "postgresql://attune:d%2Fb@db/attune"
    assert (found.database.schema, found.topology.name) == ("a", "mine")
    assert (found.worker_name, found.heartbeat_interval, found.timeout) == ("w", 5, 2.5)
    assert found.stale_after == 20
    assert (found.protected, found.drills, found.tls.ca_file) == (True, True, "ca.pem")
    assert found.severities == {"AT101": None, "AT102": Severity.INFO}
    assert (found.thresholds, found.redact) == ({"backlog": 10}, ("card",))


def test_files_lie_beside_the_configuration(folder: Path, tmp_path: Path) -> None:
    other = tmp_path / "etc"
    other.mkdir()
    (other / "ops.toml").write_text(
        '[env.e]\namqp_url = "amqp://me@h"\npassword_file = "pw"\ndatabase_url = "sqlite:///r.db"\n'
    )
    (other / "pw").write_text("here")
    found = resolve({"config": str(other / "ops.toml"), "env": "e"}, {})
    assert found.amqp.password.reveal() == "here"
    assert found.database is not None
    assert found.database.file == other / "r.db"


def test_the_users_own_file(folder: Path, tmp_path: Path) -> None:
    import platformdirs

    path = config_file.user_file(os.environ)
    assert path == platformdirs.user_config_path("attune-ops") / "attune-ops.toml"
    path.parent.mkdir(parents=True)
    path.write_text(f'[env.prod]\namqp_url = "{ENVIRONMENT}"\n')
    assert at(resolve({"env": "prod"}, os.environ)).startswith("amqp://environment")


def test_attune_tells_more_than_urls(folder: Path) -> None:
    (folder / "c.yaml").write_text("""
database: {url: "postgresql://a:b@db/attune", schema: other}
message_queue: {url: "amqp://q//", exchange: not.ours, queues: [x]}
worker: {name: w7, heartbeat_interval: 10}
""")
    found = resolve({"attune_config": "c.yaml"}, {"ATTUNE__WORKER__NAME": "w8"})
    assert (found.vhost, found.worker_name, found.heartbeat_interval) == ("/", "w8", 10)
    assert found.database is not None
    assert (found.database.schema, found.database.shown) == ("other", "postgresql://a:***@db/attune")
    assert found.topology.name == "attune-2026-01"


def test_this_hosts_worker(folder: Path) -> None:
    (folder / "c.yaml").write_text("worker: {name: w7}\n")
    pod = {"ATTUNE_WORKER_NAME": "pod-1"}
    for options, environ, name, origin in (
        ({}, {}, f"worker-{socket.gethostname()}", "default: worker-<hostname>"),
        ({}, pod, "pod-1", "ATTUNE_WORKER_NAME"),
        ({"attune_config": "c.yaml"}, pod, "w7", "c.yaml worker.name"),
        ({"attune_config": "c.yaml"}, pod | {"ATTUNE__WORKER__NAME": "w8"}, "w8", "ATTUNE__WORKER__NAME"),
    ):
        found = resolve({"amqp_url": "amqp://h", **options}, environ)
        assert found.own_worker == name
        assert ("worker_name", name, origin) in settings_table(found).rows


def test_only_a_lab_has_a_registry_that_nobody_configured(folder: Path) -> None:
    found = resolve({"amqp_url": "amqp://h/a"}, {})
    assert found.database is None
    with pytest.raises(ConfigError, match=r"no worker registry is configured; give --database-url"):
        _ = found.registry


def test_every_broker_has_files_of_its_own(folder: Path) -> None:
    urls = ("amqp://h/a", "amqp://h/b", "amqp://h:1/a", "amqp://h/" + "%F0%9F%90%87" * 60, "amqp://h/..%2F..")
    names = {resolve({"amqp_url": url}, {}).amqp.file_name for url in urls}
    assert len(names) == 5
    assert all(len(name) < 240 and "/" not in name for name in names)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("x = [", "attune-ops.toml: not TOML: "),
        (
            '[env.prod]\namqp_ulr = "x"',
            "attune-ops.toml: env.prod: Object contains unknown field `amqp_ulr`; allowed are",
        ),
        ("[env.prod]\nprotected = 1", "attune-ops.toml: env.prod.protected: Expected `bool`, got `int`; found 1"),
        ("env = 3", "attune-ops.toml: env: Expected `object`, got `int`; found 3"),
        ('[severities]\nAT1 = "bad"', "severities.AT1: Invalid enum value 'bad' (allowed: error, info, off, warning)"),
        ('[thresholds]\nx = "1"', "thresholds.x: Expected `float`, got `str`; found '1'"),
        ("[env.other]", "attune-ops.toml: no environment 'prod'; it has other"),
        ('[env.prod]\namqp_url = "amqp://u:${NOPE}@h"', "env.prod.amqp_url: the environment variable NOPE is not set"),
        ('[env.prod]\namqp_url = "amqp://u@h"\npassword_file = "no"', "cannot read the password file: No such file"),
        (
            '[env.prod]\namqp_url = "amqp://u@h"\npassword_file = "no"\npassword_env = "x"',
            "both password_file and password_env",
        ),
        ('[env.prod]\namqp_url = "amqp://h"\ntimeout = 0', "found 0.0; allowed is a number of seconds above 0"),
        ('[env.prod]\namqp_url = "http://h"', "attune-ops.toml [env.prod]: scheme http://"),
        ('[env.prod]\namqp_url = "amqp://h"\ntopology = "x"', "attune-ops.toml [env.prod]: unknown topology 'x'"),
    ],
)
def test_wrong_file(folder: Path, text: str, says: str) -> None:
    (folder / "attune-ops.toml").write_text(text)
    with pytest.raises(ConfigError) as e:
        resolve({"env": "prod"}, {})
    assert says in str(e.value)
    assert "\n" not in str(e.value)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"\xff", "byte 0 of this configuration of Attune (--attune-config) is not UTF-8"),
        (b"a: [", "c.yaml, line 1: not YAML"),
        (b"- 1", "the file: found list; allowed is a table with"),
        (b"message_queue: 3", "message_queue: found int; allowed is a table with url"),
        (b"message_queue: {url: [1]}", "message_queue.url: found list; allowed is one value"),
        (b"message_queue: {url: 7}", "c.yaml message_queue.url: not a URL"),
        (
            b"message_queue: {url: 'amqp://h'}\nworker: {heartbeat_interval: soon}",
            "found 'soon'; allowed is a number of seconds",
        ),
        (b"message_queue: {url: !!python/object:os.system {}}", "not YAML"),
        (b"", "c.yaml has no message_queue.url: set ATTUNE__MESSAGE_QUEUE__URL or use --amqp-url"),
    ],
)
def test_wrong_configuration_of_attune(folder: Path, data: bytes, says: str) -> None:
    (folder / "c.yaml").write_bytes(data)
    with pytest.raises(ConfigError) as e:
        resolve({"attune_config": "c.yaml"}, {})
    assert says in str(e.value)


@pytest.mark.parametrize("option", ["config", "attune_config"])
def test_missing_file(option: str) -> None:
    with pytest.raises(ConfigError, match=r"'nowhere': cannot read the .*: No such file"):
        resolve({option: "nowhere", "amqp_url": "amqp://h"}, {})


def test_unknown_topology() -> None:
    with pytest.raises(TopologyError, match=r"^unknown topology 'attune'"):
        resolve({"amqp_url": "amqp://h", "topology": "attune"}, {})


def test_shown_without_a_secret(folder: Path) -> None:
    found = resolve(
        {"amqp_url": "amqp://u:s3cret-a@h", "management_url": "http://m:s3cret-b@h", "database_url": "postgresql://d:s3cret-c@h/x"},
        {},
    )  # fmt: skip
    table = settings_table(found)
    said = {member: (value, origin) for member, value, origin in table.rows}
    assert said["amqp"] == ("amqp://u:***@h:5672/%2F", "--amqp-url")
    assert said["topology"] == ("attune-2026-01", "default")
    assert "s3cret" not in repr(table) + repr(found)
    assert {s.reveal() for s in found.secrets} >= {"s3cret-a", "s3cret-b", "s3cret-c"}


def checked(text: str, options: dict[str, str] | None = None, environ: dict[str, str] | None = None) -> dict[Any, Any]:
    path = Path("attune-ops.toml")
    path.write_text(text)
    path.chmod(0o600)
    return {subject: (ok, detail) for subject, ok, detail in check_table(options or {}, environ or {}).rows}


def test_check_looks_at_every_environment() -> None:
    found = checked('[env.a]\namqp_url = "amqp://u:pw@h"\n[env.b]\namqp_url = "x"\n[severities]\nAT101 = "off"\n')
    assert found["env a"] == (True, "amqp://u:***@h:5672/%2F, topology attune-2026-01")
    assert found["env b"] == (False, "attune-ops.toml [env.b]: not a URL; it must begin with amqp:// or amqps://")
    assert set(found) == {"attune-ops.toml", "env a", "env b"}


def test_check_finds_what_reading_does_not() -> None:
    found = checked('default_env = "no"\n[severities]\nAT999 = "off"\n', {"amqp_url": "amqp://h"})
    ok, why = found["severities and thresholds"]
    assert not ok
    assert "AT999" in why
    assert found["default_env"][0] is False
    assert found["target of this command"][0] is False


def test_check_minds_who_may_read_a_password(folder: Path) -> None:
    for text, open_to_all in (
        ('[env.a]\namqp_url = "amqp://u:pw@h"\n', True),
        ('[env.a]\namqp_url = "amqp://h"\n', False),
    ):
        path = folder / "attune-ops.toml"
        path.write_text(text)
        path.chmod(0o644)
        rows = check_table({}, {}).rows
        assert any("chmod 600" in str(detail) for *_, detail in rows) is open_to_all


@pytest.mark.parametrize("prefix", ["", "management_", "database_"])
def test_check_minds_who_may_read_a_password_file(prefix: str, folder: Path) -> None:
    file = folder / "rabbit's.password"
    file.write_text("pw\n")
    path = folder / "attune-ops.toml"
    path.write_text(
        f'[env.a]\namqp_url = "amqp://u@h"\nmanagement_url = "http://u@h"\n'
        f'database_url = "postgresql://u@h/d"\n{prefix}password_file = "{file.name}"\n'
    )
    for mode, is_open in ((0o644, True), (0o640, True), (0o600, False)):
        file.chmod(mode)
        found = check_table({}, {})
        wrong = [str(detail) for _, ok, detail in found.rows if not ok]
        assert any(f"chmod 600 {shlex.quote(file.name)}" in w for w in wrong) is is_open, wrong


def test_the_example_is_right(folder: Path) -> None:
    path = folder / "attune-ops.toml"
    config_file.write_example(path)
    assert path.stat().st_mode & 0o077 == 0
    with pytest.raises(ConfigError, match="exists and is not changed"):
        config_file.write_example(path)
    everything = "\n".join(
        line.removeprefix("# ") if line.startswith("# ") and ("=" in line or line.startswith("# [")) else line
        for line in config_file.example().splitlines()
        if " is found in " not in line
    )
    path.write_text(everything)
    read = config_file.read(path)
    verify(read.severities, read.thresholds)
    written = msgspec.to_builtins(read.env["prod"]) | msgspec.to_builtins(read.env["dev"])
    left_out = {
        "password_env",
        "management_password_file",
        "database_password_file",
        "database_password_env",
        "worker_name",
    }
    assert set(config_file.Environment.__struct_fields__) - set(written) - {"drills"} == left_out


def test_the_schema_is_an_option_and_a_variable() -> None:
    url = {"amqp_url": "amqp://h", "database_url": "postgresql://h/d"}
    variable = {"ATTUNE_OPS_DATABASE_SCHEMA": "automation"}
    for options, environ, schema, origin in (
        ({}, {}, "attune", None),
        ({}, variable, "automation", "ATTUNE_OPS_DATABASE_SCHEMA"),
        ({"database_schema": "mine"}, variable, "mine", "--database-schema"),
    ):
        found = resolve({**url, **options}, environ)
        assert found.database is not None
        assert found.database.schema == schema
        assert found.origin.get("database_schema") == origin
