"""Reading URLs: the spellings of a virtual host, default ports and default credentials.

An error never repeats an invalid URL, since it is unknown where its password ends.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from urllib.parse import SplitResult, parse_qsl, quote, unquote, unquote_to_bytes, urlsplit, urlunsplit

from attune_ops.installation.config.settings import Database, Endpoint
from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import MASK, Secret

# RabbitMQ's defaults; the user guest can log in only from the broker's own host.
DEFAULT_USER = DEFAULT_PASSWORD = "guest"
AMQP_PORTS = {"amqp": 5672, "amqps": 5671}
HTTP_PORTS = {"http": 80, "https": 443}
MANAGEMENT_OF = {"amqp": ("http", 15672), "amqps": ("https", 15671)}
POSTGRESQL = ("postgresql", "postgres")
THIS_HOST = ("localhost", "127.0.0.1", "::1")


def parse_amqp(text: str, origin: str, password: Secret | None = None) -> Endpoint:
    """Reads `amqp[s]://user:password@host:port/vhost`; the virtual host `/` is `/%2f`, `//`, `/` or no path.

    Without credentials it is guest/guest. `password` is one that is kept outside the URL. `origin` begins an error;
    raises `ConfigError`.
    """
    url = _split(text, origin, tuple(AMQP_PORTS))
    user, secret = _credentials(url, origin, password) or (DEFAULT_USER, password or Secret(DEFAULT_PASSWORD))
    vhost = _decode(url.path[1:], origin, "virtual host") or "/"
    if len(vhost.encode()) > 255:
        raise ConfigError(f"{origin}: the virtual host has {len(vhost.encode())} bytes; AMQP allows 255")
    if url.fragment:
        raise ConfigError(f"{origin}: write a '#' in an AMQP URL as %23")
    return Endpoint(url.scheme, *_address(url, origin, AMQP_PORTS), user, secret, vhost)


def parse_management(text: str, origin: str, amqp: Endpoint, password: Secret | None = None) -> Endpoint:
    """Reads `http[s]://host:port/prefix`; without credentials it takes those of `amqp`.

    A URL copied from a browser is valid too: `/api` and `/#/queues` at its end mean the same API.
    """
    url = _split(text, origin, tuple(HTTP_PORTS))
    user, secret = _credentials(url, origin, password) or (amqp.user, password or amqp.password)
    prefix = quote(url.path.rstrip("/").removesuffix("/api").rstrip("/"), safe="/%")
    return Endpoint(url.scheme, *_address(url, origin, HTTP_PORTS), user, secret, prefix)


def management_of(amqp: Endpoint) -> Endpoint:
    """The management API where RabbitMQ has it by default: the AMQP URL's host, port 15672, or 15671 with TLS."""
    scheme, port = MANAGEMENT_OF[amqp.scheme]
    return Endpoint(scheme, amqp.host, port, amqp.user, amqp.password)


def prometheus_of(management: Endpoint) -> Endpoint:
    """The Prometheus endpoint where RabbitMQ has it by default: the host of the management API, port 15692."""
    return Endpoint("http", management.host, 15692, "", Secret(""), "/metrics")


def parse_prometheus(text: str, origin: str) -> Endpoint:
    """Reads `http[s]://host:port/path` of the Prometheus endpoint; the path is `/metrics` by default."""
    url = _split(text, origin, tuple(HTTP_PORTS))
    if _credentials(url, origin, None) is not None:
        raise ConfigError(f"{origin}: the Prometheus endpoint takes no credentials")
    return Endpoint(
        url.scheme,
        *_address(url, origin, {"http": 15692, "https": 15691}),
        "",
        Secret(""),
        quote(url.path.rstrip("/"), safe="/%") or "/metrics",
    )


def parse_database(text: str, origin: str, schema: str = "attune", password: Secret | None = None) -> Database:
    """Reads `postgresql://user:password@host/database` or `sqlite:///file` (`sqlite:////file` is an absolute path)."""
    url = _split(text, origin, (*POSTGRESQL, "sqlite"))
    if url.scheme == "sqlite":
        path = _decode(url.path[1:], origin, "file")
        if url.netloc or not path:
            raise ConfigError(f"{origin}: no file in the URL; write sqlite:///file, or sqlite:////folder/file")
        return Database(Secret(f"sqlite:///{path}"), "sqlite", f"sqlite:///{path}", schema)
    found = _credentials(url, origin, password)
    if found is None and password is not None:
        raise ConfigError(f"{origin}: there is a password, but no user in the URL")
    for _, value in parse_qsl(url.query):
        _refuse_mask(value, origin)
    _port(url, origin)
    hosts = url.netloc.rpartition("@")[2]
    user, secret = found or ("", Secret(""))
    login = f"{quote(user, safe='')}{{}}@" if user else ""
    real, shown = (login.format(f":{p}" if secret else "") for p in (quote(secret.reveal(), safe=""), MASK))
    query = urlunsplit(("", "", "", url.query, ""))
    return Database(
        url=Secret(f"postgresql://{real}{hosts}{url.path}{query}"),
        kind="postgresql",
        shown=f"postgresql://{shown}{hosts}{url.path}",
        schema=schema,
        password=secret,
    )


def host_of(url: str) -> str:
    """The host of a URL of any scheme, one name for this host; "" where it is not a URL."""
    try:
        host = unquote(urlsplit(url.strip()).hostname or THIS_HOST[0])
    except ValueError:
        return ""
    return THIS_HOST[0] if host in THIS_HOST else host


def expand(text: str, variable: Callable[[str], str]) -> str:
    """Replaces each `${NAME}` by `variable(NAME)`; one that is a URL's whole password is percent-encoded for it."""

    def value(found: re.Match[str]) -> str:
        whole_password = (
            found.string[found.start() - 1 : found.start()] == ":" and found.string[found.end() :][:1] == "@"
        )
        return quote(variable(found[1]), safe="") if whole_password else variable(found[1])

    return re.sub(r"\$\{(\w+)\}", value, text)


def _split(text: str, origin: str, schemes: tuple[str, ...]) -> SplitResult:
    allowed = " or ".join(f"{s}://" for s in schemes)
    scheme, separator, _ = text.strip().partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z][A-Za-z0-9+.-]*", scheme):
        raise ConfigError(f"{origin}: not a URL; it must begin with {allowed}")
    if scheme.lower() not in schemes:
        raise ConfigError(f"{origin}: scheme {scheme}:// is not supported; use {allowed}")
    # urlsplit drops newlines and tabs: a password with one would become another.
    if not text.strip().isprintable() or re.search(r"\s", text.strip()):
        raise ConfigError(f"{origin}: the URL contains a blank or a control character; write it percent-encoded (%20)")
    try:
        url = urlsplit(text.strip())
    except ValueError as e:
        raise ConfigError(f"{origin}: {scheme}://{MASK} is not a URL: {_reason(e)}") from None
    if "@" in url.path + url.query + url.fragment and "@" not in url.netloc and url.scheme != "sqlite":
        raise ConfigError(
            f"{origin}: a '/', '?' or '#' in a user name or password must be percent-encoded (%2F, %3F, %23)"
        )
    return url


def _reason(error: ValueError) -> str:
    """The error of urlsplit, without its quotations."""
    return "wrong brackets around an IPv6 address" if "IPv6" in str(error) else "invalid syntax"


def _credentials(url: SplitResult, origin: str, password: Secret | None) -> tuple[str, Secret] | None:
    """The user and password in the URL, or None where there is no user in it."""
    login, at, _ = url.netloc.rpartition("@")
    if not at or not login:
        return None
    user, colon, found = login.partition(":")
    if password is not None and colon:
        raise ConfigError(f"{origin}: there is a password in the URL and in another place; keep one")
    _refuse_mask(found, origin)
    secret = password or Secret(_decode(found, origin, "password"))
    return _decode(user, origin, "user"), secret


def _refuse_mask(text: str, origin: str) -> None:
    if text == MASK:
        raise ConfigError(f"{origin}: replace {MASK} by the password: printed commands do not contain it")


def _decode(text: str, origin: str, part: str) -> str:
    try:
        return unquote_to_bytes(text).decode()
    except UnicodeDecodeError:
        raise ConfigError(f"{origin}: the {part} in the URL is not UTF-8 when percent-decoded") from None


def _address(url: SplitResult, origin: str, ports: dict[str, int]) -> tuple[str, int]:
    port = _port(url, origin)
    return unquote(url.hostname or "localhost"), ports[url.scheme] if port is None else port


def _port(url: SplitResult, origin: str) -> int | None:
    """The port, validated; a PostgreSQL URL may name several hosts, which only its driver parses."""
    if "," in url.netloc:
        return None
    try:
        port = url.port
    except ValueError:
        port = 0
    if port == 0:
        raise ConfigError(f"{origin}: the port must be a number from 1 to 65535")
    return port
