"""The options that choose an installation; the commands in a result or text repeat those of this run."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, TypeVar, cast

T = TypeVar("T")

# Option, metavar, help: which installation.
TARGET = (
    ("env", "NAME", "Named environment of the configuration file; doctor and serve take several."),
    ("lab", "NAME", "Name of a running lab."),
    ("config", "FILE", "Configuration file (default: attune-ops.toml here, then the user's)."),
    ("attune-config", "FILE", "config.yaml of the Attune installation."),
    ("amqp-url", "URL", "AMQP URL: amqp://user:pass@host:5672/vhost, or amqps://…"),
    ("management-url", "URL", "Management API: http(s)://host:15672; without credentials, those of the AMQP URL."),
    ("database-url", "URL", "Worker registry: postgresql://… or sqlite:///file."),
    ("database-schema", "NAME", "Schema of Attune's tables in PostgreSQL (default: attune)."),
    ("ca-file", "FILE", "TLS: authorities to trust besides the system's (PEM)."),
    ("cert-file", "FILE", "TLS: client certificate (PEM)."),
    ("key-file", "FILE", "TLS: its private key, unless --cert-file contains it (PEM)."),
    ("tls-server-name", "NAME", "TLS: name in the server's certificate, if not the host's (port-forward)."),
    ("tls-min-version", "VERSION", "TLS: oldest version allowed: 1.2 (default) or 1.3."),
    (
        "topology",
        "NAME|FILE",
        "attune-2026-01, attune-2026-09, attune-0.6, or a file (default: recognised on the broker).",
    ),
)
TARGET_NAMES = tuple(name.replace("-", "_") for name, _, _ in TARGET)
URLS = ("amqp_url", "management_url", "database_url")  # of TARGET_NAMES, those that can have a password
PASSWORD = r"(?P<user>[A-Za-z][\w+.-]*://[^/?#:@]*):[^/?#]+(?P<host>@[^/?#@]*)(?P<path>.*)"
IN_QUERY = r"(?P<name>[?&](?!ssl(?!password))[^=&#]*=)[^&#]+"  # of PostgreSQL: password, and what else may be a secret
TEXTS = frozenset(("commands", "notes"))  # members with sentences and with commands of several programs
IN_TEXT = r"(?<![\w/-])attune-ops (?=[a-z])(?!lab |completion )(?!\S+( \S+)? --help)"  # compiled when it is used


def with_target_options(value: T, options: Mapping[str, str]) -> T:
    """The result with the target options in its commands, or the sentence with them in the commands it mentions."""
    given = {
        name: _masked(options[name]) if name in URLS else options[name] for name in TARGET_NAMES if name in options
    }
    if not given:
        return value
    return cast("T", _in_text(value, given) if isinstance(value, str) else _in_value(value, given))


def _masked(url: str) -> str:
    """The URL with *** for its password; `parse_amqp` and its like refuse that, so a copied command needs completing.

    To leave the option out would direct the command to another installation.
    """
    from attune_ops.model.secret import MASK, mask_url

    found = re.fullmatch(PASSWORD, url)
    if found:  # with no second @: all before it would be masked as a part of the password
        url = f"{found['user']}:{MASK}{found['host']}{found['path'].replace('@', '%40')}"
    return mask_url(re.sub(IN_QUERY, rf"\g<name>{MASK}", url))


def _in_value(value: Any, options: Mapping[str, str]) -> Any:
    import msgspec  # here, because a probe does not need it

    from attune_ops.model.command_lines import CommandLine
    from attune_ops.model.facts import Facts

    if isinstance(value, CommandLine):
        return value.with_target_options(options)
    if isinstance(value, tuple) and value and isinstance(value[0], msgspec.Struct):
        return tuple(_in_value(v, options) for v in value)
    if not isinstance(value, msgspec.Struct) or isinstance(value, Facts):
        return value
    changes = {}
    for name in value.__struct_fields__:
        before = getattr(value, name)
        is_text = name in TEXTS and before and isinstance(before[0], str)
        after = tuple(_in_text(text, options) for text in before) if is_text else _in_value(before, options)
        if after is not before:
            changes[name] = after
    return msgspec.structs.replace(value, **changes) if changes else value


def _in_text(text: str, options: Mapping[str, str]) -> str:
    from attune_ops.model.command_lines import option_words, quoted

    given = "".join(f"{quoted(word)} " for word in option_words(options))
    return re.sub(IN_TEXT, lambda found: found[0] + given, text)
