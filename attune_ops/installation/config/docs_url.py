"""Where the documentation is published: `docs_url` of the configuration file, or the variable."""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from pathlib import Path

from attune_ops.installation.config import config_file
from attune_ops.installation.config.config_file import ConfigFile
from attune_ops.model.errors import ConfigError

VARIABLE = "ATTUNE_OPS_DOCS_URL"
EXPECTED = "http(s)://host/path or file:///folder of the built documentation, without user, query and fragment"


def docs_url(options: Mapping[str, str], environ: Mapping[str, str] | None = None) -> str | None:
    """The address of the documentation; None where there is none. Needs no configured installation.

    Raises `ConfigError`. Reads a file; connects to nothing.
    """
    environ = os.environ if environ is None else environ
    path = config_file.find(options.get("config") or environ.get("ATTUNE_OPS_CONFIG") or None, environ)
    return docs_url_of(ConfigFile() if path is None else config_file.read(path), path, environ)


def docs_url_of(file: ConfigFile, path: Path | None, environ: Mapping[str, str]) -> str | None:
    """The value of the variable, else that of the file; raises `ConfigError` where it is no such address."""
    if value := environ.get(VARIABLE):
        return _checked(value, VARIABLE)
    return None if file.docs_url is None else _checked(file.docs_url, f"{path}: docs_url")


def _checked(value: str, origin: str) -> str:
    if not re.fullmatch(r"(?:https?://[^\s/?#@]+|file://)(?:/[^\s?#@]*)?", value):
        raise ConfigError(f"{origin}: found {_without_secrets(value)!r}; allowed is {EXPECTED}")
    return value


def _without_secrets(value: str) -> str:
    """The value without what can hold a token: user, query and fragment."""
    if "@" in value:  # where the user ends is not certain in an address that is wrong
        scheme, separator, _ = value.partition("://")
        return f"{scheme}://***" if separator else "***"
    return re.sub(r"([?#]).*", r"\1***", value, flags=re.DOTALL)
