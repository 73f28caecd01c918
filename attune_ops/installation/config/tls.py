"""The TLS settings of an installation: files, server name, oldest version."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from attune_ops.installation.config.config_file import TLS_FILES
from attune_ops.installation.config.precedence import Setting
from attune_ops.installation.config.settings import Tls
from attune_ops.model.errors import ConfigError

TLS_VERSIONS = ("1.2", "1.3")
TLS = (*TLS_FILES, "tls_server_name", "tls_min_version")


def tls_of(said: Mapping[str, Setting]) -> Tls:
    """The TLS settings; raises `ConfigError`, also where a file cannot be used, whether or not a URL has TLS."""
    if "key_file" in said and "cert_file" not in said:
        raise ConfigError(f"{said['key_file'].origin}: key_file without cert_file: a client certificate needs both")
    values = {name: str(said[name].value) for name in TLS if name in said}
    minimum = values.get("tls_min_version", TLS_VERSIONS[0])
    if minimum not in TLS_VERSIONS:
        raise ConfigError(
            f"{said['tls_min_version'].origin}: found {minimum!r}; allowed is {' or '.join(TLS_VERSIONS)}"
        )
    ca_file, cert_file, key_file = (values.get(name) for name in TLS_FILES)
    for name in TLS_FILES:
        if name in values:
            pem_text(values[name], name, "PRIVATE KEY" if name == "key_file" else "CERTIFICATE")
    return Tls(ca_file, cert_file, key_file, values.get("tls_server_name"), minimum)


def pem_text(path: str, member: str, kind: str) -> str:
    """The text of a file in PEM form; raises `ConfigError` where it cannot be read or holds nothing of that kind.

    `member` is the name of the setting, `kind` is CERTIFICATE or PRIVATE KEY.
    """
    try:
        text = Path(path).read_bytes().decode("latin-1")
    except (OSError, ValueError) as e:
        raise ConfigError(f"cannot use {member} {path!r}: {getattr(e, 'strerror', None) or e}") from None
    if f"{kind}-----" not in text:
        raise ConfigError(f"cannot use {member} {path!r}: it contains no {kind.lower()} in PEM form")
    return text
