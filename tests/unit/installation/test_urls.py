"""URLs: every spelling that people use, every one that must be refused, and no password in a complaint."""

from __future__ import annotations

from urllib.parse import quote

import pytest
from hypothesis import given
from hypothesis import strategies as st

from attune_ops.installation.config.urls import expand, management_of, parse_amqp, parse_database, parse_management
from attune_ops.model.errors import ConfigError
from attune_ops.model.secret import MASK, Secret, mask_url

# What a user name, password or virtual host may hold: anything that UTF-8 has, encoded for the URL.
anything = st.text(min_size=1, max_size=60)
# A password that is found nowhere by chance.
secret = anything.map(lambda text: f"S3cr{text}eT")


def encoded(text: str) -> str:
    return quote(text, safe="")


@pytest.mark.parametrize(
    ("url", "vhost"),
    [
        ("amqp://host", "/"),
        ("amqp://host/", "/"),
        ("amqp://host//", "/"),
        ("amqp://host/%2f", "/"),
        ("amqp://host/%2F", "/"),
        ("amqp://host/attune", "attune"),
        ("amqp://host//attune", "/attune"),
        ("amqp://host/a%2Fb%20c", "a/b c"),
        ("amqp://host/%F0%9F%90%87", "🐇"),
        ("amqp://host/%0A", "\n"),
        ("amqp://host/v?heartbeat=10", "v"),
    ],
)
def test_virtual_host(url: str, vhost: str) -> None:
    assert parse_amqp(url, "--amqp-url").path == vhost


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("amqp://", "localhost", 5672),
        ("amqp://host", "host", 5672),
        ("amqps://host", "host", 5671),
        ("amqp://host:1", "host", 1),
        ("AMQP://Host", "host", 5672),
        ("amqp://[::1]", "::1", 5672),
        ("amqp://u:p@[2001:db8::1]:5673/v", "2001:db8::1", 5673),
        ("amqp://[fe80::1%25eth0]", "fe80::1%eth0", 5672),
        ("  amqp://host\n", "host", 5672),
    ],
)
def test_address(url: str, host: str, port: int) -> None:
    found = parse_amqp(url, "--amqp-url")
    assert (found.host, found.port) == (host, port)


def test_credentials() -> None:
    default = parse_amqp("amqp://host", "o")
    assert (default.user, default.password.reveal()) == ("guest", "guest")
    alone = parse_amqp("amqp://me@host", "o")
    assert (alone.user, alone.password.reveal()) == ("me", "")
    apart = parse_amqp("amqp://me@host", "o", Secret("kept elsewhere"))
    assert apart.password.reveal() == "kept elsewhere"


@given(user=anything, password=secret, vhost=st.text(max_size=60))
def test_percent_encoded_parts_come_back(user: str, password: str, vhost: str) -> None:
    url = f"amqp://{encoded(user)}:{encoded(password)}@[::1]:5671/{encoded(vhost)}"
    found = parse_amqp(url, "--amqp-url")
    assert (found.user, found.password.reveal(), found.path) == (user, password, vhost or "/")
    assert found.address == "[::1]:5671"
    # What is shown is the same place, with the password masked.
    shown = str(found)
    assert encoded(password) not in shown
    again = parse_amqp(shown.replace(f":{MASK}@", f":{encoded(password)}@", 1), "again")
    assert (again.user, again.path, again.port) == (found.user, found.path, found.port)


@given(st.text(max_size=80), secret)
def test_any_text_is_read_or_refused_without_its_password(text: str, password: str) -> None:
    for url in (text, f"amqp://u:{password}{text}@host/v", f"amqp://u:{password}@host:{text}"):
        try:
            said = str(parse_amqp(url, "--amqp-url"))
        except ConfigError as e:
            said = str(e)
        assert password not in said
        assert "\n" not in said


@pytest.mark.parametrize(
    ("url", "says"),
    [
        ("", "not a URL; it must begin with amqp:// or amqps://"),
        ("host:5672", "not a URL"),
        ("http://u:hunter2@host", "scheme http:// is not supported; use amqp:// or amqps://"),
        ("amqp://u:hunter2@host:port", "port must be a number from 1 to 65535"),
        ("amqp://u:hunter2@host:0", "port must be"),
        ("amqp://u:hunter2@host:70000", "port must be"),
        ("amqp://u:hunter/2@host", "must be percent-encoded"),
        ("amqp://u:hunter#2@host", "must be percent-encoded"),
        ("amqp://u:hunter?2@host", "must be percent-encoded"),
        ("amqp://u:hunter 2@host", "a blank or a control character"),
        ("amqp://u:hunter2@host/a\nb", "a blank or a control character"),
        ("amqp://u:hunter2@[::1", "brackets"),
        ("amqp://u:hunter2%ff@host", "not UTF-8"),
        ("amqp://u:hunter2@host/" + "%C3%A4" * 128, "256 bytes; AMQP allows 255"),
        ("amqp://u:***@host", "replace *** by the password: printed commands do not contain it"),
        ("amqp://host/v#x", "in an AMQP URL as %23"),
    ],
)
def test_refused(url: str, says: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse_amqp(url, "ATTUNE_OPS_AMQP_URL")
    assert str(e.value).startswith("ATTUNE_OPS_AMQP_URL: ")
    assert says in str(e.value)
    assert "hunter" not in str(e.value)


def test_longest_virtual_host() -> None:
    assert parse_amqp("amqp://host/" + "%C3%A4" * 127 + "x", "o").path == "ä" * 127 + "x"


def test_two_passwords_are_refused() -> None:
    with pytest.raises(ConfigError, match="keep one"):
        parse_amqp("amqp://u:p@host", "o", Secret("other"))


AMQP = parse_amqp("amqps://me:mine@rabbit:5600/v", "o")


@pytest.mark.parametrize(
    ("url", "shown", "password"),
    [
        ("http://host:15672", "http://me:***@host:15672", "mine"),
        ("http://host:15672/", "http://me:***@host:15672", "mine"),
        ("http://host:15672/api", "http://me:***@host:15672", "mine"),
        ("http://host:15672/#/queues", "http://me:***@host:15672", "mine"),
        ("https://host/rabbit/api/", "https://me:***@host:443/rabbit", "mine"),
        ("https://host/räbbit", "https://me:***@host:443/r%C3%A4bbit", "mine"),
        ("http://mon:w%40tch@[::1]:80", "http://mon:***@[::1]:80", "w@tch"),
    ],
)
def test_management(url: str, shown: str, password: str) -> None:
    found = parse_management(url, "--management-url", AMQP)
    assert str(found) == shown
    assert found.password.reveal() == password


def test_management_of_the_amqp_url() -> None:
    assert str(management_of(AMQP)) == "https://me:***@rabbit:15671"
    assert str(management_of(parse_amqp("amqp://[::1]", "o"))) == "http://guest:***@[::1]:15672"


@pytest.mark.parametrize(
    ("url", "real", "shown"),
    [
        ("postgresql://u:p%40ss@db/attune", "postgresql://u:p%40ss@db/attune", "postgresql://u:***@db/attune"),
        ("postgres://db", "postgresql://db", "postgresql://db"),
        (
            "postgresql://u:p@a:1,b:2/x?sslmode=require",
            "postgresql://u:p@a:1,b:2/x?sslmode=require",
            "postgresql://u:***@a:1,b:2/x",
        ),
        ("sqlite:///file.db", "sqlite:///file.db", "sqlite:///file.db"),
        ("sqlite:////a%20b/file", "sqlite:////a b/file", "sqlite:////a b/file"),
    ],
)
def test_database(url: str, real: str, shown: str) -> None:
    found = parse_database(url, "--database-url")
    assert (found.url.reveal(), found.shown) == (real, shown)


@pytest.mark.parametrize("url", ["mysql://u:hunter2@db", "sqlite://", "sqlite:///", "postgresql://u:hunter2@db:x/y"])
def test_database_refused(url: str) -> None:
    with pytest.raises(ConfigError) as e:
        parse_database(url, "--database-url")
    assert "hunter2" not in str(e.value)


def test_password_beside_the_database_url() -> None:
    found = parse_database("postgresql://u@db/x", "o", password=Secret("a/b@c"))
    assert found.url.reveal() == "postgresql://u:a%2Fb%40c@db/x"
    assert found.shown == "postgresql://u:***@db/x"


@given(secret)
def test_a_variable_that_is_the_password_is_encoded(password: str) -> None:
    url = expand("amqp://me:${PW}@host/${VHOST}", {"PW": password, "VHOST": "attune"}.__getitem__)
    found = parse_amqp(url, "o")
    assert (found.password.reveal(), found.path) == (password, "attune")


@given(secret.filter(lambda p: not any(c.isspace() or c in "\"'<>" for c in p)))
def test_masking_takes_any_password(password: str) -> None:
    assert password not in mask_url(f"it said amqp://u:{password}@host/v, then http://host:15672/api")
