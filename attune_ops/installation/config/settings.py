"""The settings of an installation, fully resolved, each with its origin for errors."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import msgspec

from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import MASK, Secret
from attune_ops.model.severity import Severity
from attune_ops.model.topology import Topology

RUNNING_LAB = "the running lab"  # an origin
NO_REGISTRY = "no worker registry is configured; give --database-url (ATTUNE_OPS_DATABASE_URL)"
LONGEST_NAME = 200  # of a file; the file systems allow 255 bytes


class Endpoint(msgspec.Struct, frozen=True):
    """A host and port with credentials. `str` shows the URL without the password.

    `path` is the virtual host for AMQP (`/` is "/"), and a prefix ('' or '/rabbit') for the management API.
    """

    scheme: str  # amqp, amqps, http, https
    host: str
    port: int
    user: str
    password: Secret
    path: str = ""

    @property
    def tls(self) -> bool:
        """Whether the connection is encrypted."""
        return self.scheme in ("amqps", "https")

    @property
    def address(self) -> str:
        """host:port, with brackets round an IPv6 address."""
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"

    @property
    def file_name(self) -> str:
        """The name of a file of ours about this broker and virtual host, without its ending."""
        import zlib

        name = "-".join((quote(self.host, safe=""), str(self.port), quote(self.path, safe="")))
        return name if len(name) <= LONGEST_NAME else f"{name[:LONGEST_NAME]}-{zlib.crc32(name.encode()):08x}"

    def __str__(self) -> str:
        path = "/" + quote(self.path, safe="") if self.scheme.startswith("amqp") else self.path
        return f"{self.scheme}://{quote(self.user, safe='')}:{MASK}@{self.address}{path}"


class Tls(msgspec.Struct, frozen=True):
    """TLS of all connections to the broker: AMQP, management API, Prometheus endpoint.

    `ca_file`: authorities to trust besides the system's. `cert_file` and `key_file`: the client certificate and its key
    in PEM form; without `key_file` the key is in `cert_file`. `server_name`: the name in the server's certificate,
    where it is not the host's (a port forward). `minimum`: the oldest TLS version, "1.2" or "1.3".
    """

    ca_file: str | None = None
    cert_file: str | None = None
    key_file: str | None = None
    server_name: str | None = None
    minimum: str = "1.2"


class Database(msgspec.Struct, frozen=True):
    """The worker registry's database: `url` as its driver takes it, and `shown` without the password."""

    url: Secret
    kind: str  # postgresql, sqlite
    shown: str
    schema: str = "attune"
    password: Secret = msgspec.field(default_factory=lambda: Secret(""))

    @property
    def file(self) -> Path:
        """The file of a SQLite database."""
        return Path(self.url.reveal().removeprefix("sqlite:///"))


class CheckSettings(msgspec.Struct, frozen=True):
    """The settings of the checks, without an installation: enough to diagnose a file.

    `topology` is None where none is given. `severities` maps a check's code to another severity, or None to switch
    it off; `thresholds` are numbers of checks by name. `docs_url` is the address of the documentation.
    """

    topology: Topology | None = None
    severities: dict[str, Severity | None] = {}
    thresholds: dict[str, float] = {}
    docs_url: str | None = None


class Settings(msgspec.Struct, frozen=True):
    """One installation. A setting without value and default is None; `origin` has the origin of each member.

    `env` is the environment's name. `protected`: changes need its name as confirmation; `drills`: drills are allowed.
    `lab` is the name of the lab, if it is one.
    `severities` maps a check's code to another severity, or None to switch it off. A heartbeat older than
    `stale_after` is stale. `heartbeat_interval`, `stale_after` and `timeout` are in seconds. `prometheus` is the
    endpoint of the broker's own metrics, without credentials.
    """

    amqp: Endpoint
    management: Endpoint
    database: Database | None
    topology: Topology
    prometheus: Endpoint | None = None
    recognise: bool = False  # no topology was given: the one of the broker is used
    env: str | None = None
    protected: bool = False
    drills: bool = False
    tls: Tls = Tls()
    attune_config: str | None = None  # the files of Attune's own configuration that were read
    worker_name: str | None = None
    heartbeat_interval: float = 30.0
    stale_after: float = 90.0
    timeout: float = 10.0
    severities: dict[str, Severity | None] = {}
    thresholds: dict[str, float] = {}
    redact: tuple[str, ...] = ()
    origin: dict[str, str] = {}
    lab: str | None = None
    docs_url: str | None = None  # the address of the documentation
    notes: tuple[str, ...] = ()  # which variables are overridden, or override a file
    left_out: str = ""  # which settings are of another broker than `amqp`, and not used; printed by every command

    @property
    def check_settings(self) -> CheckSettings:
        """The settings of the checks."""
        return CheckSettings(self.topology, self.severities, self.thresholds, self.docs_url)

    @property
    def on_lab(self) -> bool:
        """Whether the installation is a running lab."""
        return self.lab is not None

    @property
    def registry(self) -> Database:
        """The worker registry's database; raises `ConfigError` where none is configured."""
        if self.database is None:
            raise ConfigError(NO_REGISTRY)
        return self.database

    @property
    def vhost(self) -> str:
        """The virtual host of Attune."""
        return self.amqp.path

    @property
    def own_worker(self) -> str:
        """The name of this host's worker, from Attune's configuration, else Attune's default."""
        import socket

        return self.worker_name or f"worker-{socket.gethostname()}"

    @property
    def secrets(self) -> tuple[Secret, ...]:
        """Every secret of these settings, for masking output.

        A password that equals its user's name is masked only in URLs, like every short one.
        """
        found = [e.password for e in (self.amqp, self.management) if e.password != Secret(e.user)]
        if self.database is not None and self.database.password:
            same = f"//{quote(self.database.password.reveal(), safe='')}:{MASK}@" in self.database.shown
            found += [self.database.url, *([] if same else [self.database.password])]
        return tuple(s for s in found if s)
