"""TLS and basic authentication, by the file that Prometheus' exporters take.

https://prometheus.io/docs/prometheus/latest/configuration/https/ describes it; here `tls_server_config` with
`cert_file`, `key_file` and `client_ca_file`, and `basic_auth_users` with bcrypt hashes.
"""

from __future__ import annotations

import base64
import binascii
import ssl
from functools import lru_cache
from pathlib import Path

import msgspec
import yaml

from attune_ops.model.errors import ConfigError


class TlsServerConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Paths; a relative one starts at the folder of the file."""

    cert_file: str
    key_file: str
    client_ca_file: str | None = None


class WebConfig(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """What the file says; without a file neither TLS nor authentication."""

    tls_server_config: TlsServerConfig | None = None
    basic_auth_users: dict[str, str] = {}
    folder: str = "."

    @property
    def protected(self) -> bool:
        """Whether a client has to authenticate."""
        return bool(self.basic_auth_users or (self.tls_server_config and self.tls_server_config.client_ca_file))

    def allows(self, authorization: str | None) -> bool:
        """Whether the header names a user with the right password; True where no users are configured."""
        if not self.basic_auth_users:
            return True
        scheme, _, encoded = (authorization or "").partition(" ")
        try:
            user, _, password = base64.b64decode(encoded, validate=True).partition(b":")
            hashed = self.basic_auth_users.get(user.decode())
        except (binascii.Error, UnicodeDecodeError):
            return False
        return scheme.lower() == "basic" and hashed is not None and _matches(hashed, password)

    def tls_context(self) -> ssl.SSLContext | None:
        """The server's TLS settings; raises `ConfigError` for files that cannot be used."""
        tls = self.tls_server_config
        if tls is None:
            return None
        made = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        try:
            made.load_cert_chain(Path(self.folder, tls.cert_file), Path(self.folder, tls.key_file))
            if tls.client_ca_file is not None:
                made.load_verify_locations(Path(self.folder, tls.client_ca_file))
                made.verify_mode = ssl.CERT_REQUIRED
        except (OSError, ssl.SSLError) as e:
            raise ConfigError(
                f"cannot use the certificate or key of the web configuration: {e.strerror or e}"
            ) from None
        return made


def read_web_config(path: str | None) -> WebConfig:
    """Reads the file; raises `ConfigError` for one that is missing, unreadable or has something else in it."""
    if path is None:
        return WebConfig()
    try:
        said = yaml.safe_load(Path(path).read_bytes()) or {}
        config = msgspec.convert({**said, "folder": str(Path(path).absolute().parent)}, WebConfig)
    except OSError as e:
        raise ConfigError(f"cannot read {path!r}: {e.strerror}") from None
    except (yaml.YAMLError, TypeError, msgspec.ValidationError) as e:
        raise ConfigError(f"{path!r} is not a web configuration of Prometheus: {' '.join(str(e).split())}") from None
    for user, hashed in config.basic_auth_users.items():
        if not hashed.startswith(("$2a$", "$2b$", "$2y$")):
            raise ConfigError(f"{path!r}: the password of {user!r} is not a bcrypt hash (htpasswd -nBC 10 '')")
    return config


@lru_cache(maxsize=64)
def _matches(hashed: str, password: bytes) -> bool:
    """Compares in about 0.1 s by design, so each pair only once: a scrape comes every few seconds."""
    import bcrypt

    try:
        return bcrypt.checkpw(password, hashed.encode())
    except ValueError:
        return False
