"""The TLS settings of an installation: files, server name, oldest version."""

from __future__ import annotations

from collections.abc import Mapping

from attune_ops.installation.config.config_file import TLS_FILES
from attune_ops.installation.config.precedence import Setting
from attune_ops.installation.config.settings import Tls
from attune_ops.model.errors import ConfigError

TLS_VERSIONS = ("1.2", "1.3")
TLS = (*TLS_FILES, "tls_server_name", "tls_min_version")


def tls_of(said: Mapping[str, Setting]) -> Tls:
    """The TLS settings; raises `ConfigError`. The files are read when a connection is made."""
    if "key_file" in said and "cert_file" not in said:
        raise ConfigError(f"{said['key_file'].origin}: key_file without cert_file: a client certificate needs both")
    values = {name: str(said[name].value) for name in TLS if name in said}
    minimum = values.get("tls_min_version", TLS_VERSIONS[0])
    if minimum not in TLS_VERSIONS:
        raise ConfigError(
            f"{said['tls_min_version'].origin}: found {minimum!r}; allowed is {' or '.join(TLS_VERSIONS)}"
        )
    ca_file, cert_file, key_file = (values.get(name) for name in TLS_FILES)
    return Tls(ca_file, cert_file, key_file, values.get("tls_server_name"), minimum)
