"""Permissions taken from the services' user while they run: found, given back as printed, and a worker starts."""

from __future__ import annotations

from collections.abc import Callable

import msgspec
import pytest

from attune_ops.doctor.findings import CheckStatus, Severity
from attune_ops.installation.management_write import ALL
from attune_ops.model.secret import Secret
from tests.live.places import JANUARY, SEPTEMBER, Place, found
from tests.live.printed import fix, proves
from tests.live.screen import healthy, shows
from tests.world import Run, Users, Vhost, eventually

NOTHING = {"configure": "", "write": "", "read": ""}
PARTLY = {"configure": "^shop|^attune", "write": "^attune", "read": "^$"}


def under(p: Place, services: Vhost) -> Place:
    """The place with its services under that user; the management API is still the administrator's."""
    amqp = msgspec.structs.replace(p.settings.amqp, user=services.user, password=Secret(services.password))
    p.settings = msgspec.structs.replace(p.settings, amqp=amqp)
    return p.populate()


@pytest.mark.parametrize(
    ("release", "rights"), [(JANUARY, PARTLY), (SEPTEMBER, PARTLY), (SEPTEMBER, NOTHING), ("attune-0.6", NOTHING)]
)
def test_cut_permissions_are_given_back_as_printed(
    release: str, rights: dict[str, str], place: Callable[..., Place], user: Users, run: Run, rabbitmqctl: str
) -> None:
    p = place(release)
    services = user(p.vhost, tags="", name=f"it's {p.vhost.name}")
    under(p, services)
    p.more_environment["PATH"] = rabbitmqctl
    path = f"permissions/{{vhost}}/{services.user.replace(' ', '%20')}"

    def seen() -> bool:
        return ("AT117", services.user) in found(p.look(["AT117"]), Severity.ERROR)

    (result,) = eventually(lambda: _passed(p), within=30, every=1)
    assert result.status is CheckStatus.PASSED
    p.vhost.api("PUT", path, rights)
    eventually(seen, within=30, every=1)
    failed = p.start("worker", "w3", ok=False)
    failed.disconnect()
    p.sql("DELETE FROM worker WHERE name = 'w3'")

    report = p.look(["AT117"])
    proves("AT117 rabbitmqctl set_permissions", p, report, run)

    shows(p, run, "AT117", "→ ", "$ rabbitmqctl set_permissions")

    def fixed() -> bool:  # a service whose connection is listed late is found by the next look
        fix(p, p.look(["AT117"]), run, ("AT117",))
        return not found(p.look(["AT117"]), Severity.ERROR)

    eventually(fixed, within=60, every=1)
    given = p.vhost.api("GET", path).json()
    for right, before in rights.items():
        assert given[right].startswith(before if before != "^$" else ""), "what the user had is kept"
        assert given[right] not in (ALL[right], before)
    p.start("worker", "w4")  # by the broker's own judgement all is there
    assert not found(p.look(["AT117"]), Severity.ERROR)
    healthy(p, run)


def _passed(p: Place) -> object:
    """The result once the connections are listed with their user."""
    report = p.look(["AT117"])
    return report.facts.actual.user_permissions and report.results


@pytest.mark.parametrize("restarted", [True, False])
def test_services_that_failed_with_403_are_known_by_their_user(
    restarted: bool, place: Callable[..., Place], user: Users, run: Run, rabbitmqctl: str
) -> None:
    """Revoked, and every service tried to start, or has exited: the permissions come first and end healthy."""
    p = place(SEPTEMBER)
    services = user(p.vhost, tags="")
    under(p, services)
    p.more_environment |= {"PATH": rabbitmqctl, "ATTUNE_OPS_AMQP_URL": services.amqp_url}
    healthy(p, run)
    p.vhost.api("PUT", f"permissions/{{vhost}}/{services.user}", NOTHING)
    started = list(p.services.items())
    for name, service in started:
        service.disconnect()
        if restarted:
            p.start(*_start(name), ok=False)

    def errors() -> list[str]:
        return [f.code for f in p.look().at_least(Severity.ERROR)]

    eventually(lambda: "AT405" in errors(), within=40, every=1)
    assert errors()[0] == "AT117", "what follows from it comes after it"
    shows(p, run, "AT117", f"user {services.user} of api, executor, sensor,", "(not consuming: executor")
    proves("AT117 rabbitmqctl set_permissions", p, p.look(["AT117"]), run)
    fix(p, p.look(["AT117"]), run, ("AT117",))
    for name, _ in started:
        p.services[name].disconnect()
        p.start(*_start(name))
    healthy(p, run)


def _start(name: str) -> tuple[str, str | None]:
    """The service and the name of one of `Place.services`."""
    return ("worker", name) if name.startswith("w") else (name, None)


def test_nothing_is_taken_for_the_services_user_where_another_can_be(place: Callable[..., Place], user: Users) -> None:
    """A read-only user in the AMQP URL, and no service runs: theirs has its permissions."""
    p = place(SEPTEMBER).populate()
    for service in p.services.values():
        service.disconnect()
    reader, _ = user(p.vhost, tags="", configure="", write=""), user(p.vhost, tags="")
    amqp = msgspec.structs.replace(p.settings.amqp, user=reader.user, password=Secret(reader.password))
    p.settings = msgspec.structs.replace(p.settings, amqp=amqp)
    eventually(lambda: ("AT405", "executor") in found(p.look(), Severity.ERROR), within=40, every=1)
    assert "AT117" not in {f.code for f in p.look().findings}


def test_without_the_administrator_tag_it_is_skipped(place: Callable[..., Place], user: Users) -> None:
    p = place().populate()
    lesser = user(p.vhost, tags="monitoring")
    management = msgspec.structs.replace(p.settings.management, user=lesser.user, password=Secret(lesser.password))
    p.settings = msgspec.structs.replace(p.settings, management=management)
    (result,) = p.look(["AT117"]).results
    assert result.status is CheckStatus.SKIPPED
    assert f"user '{lesser.user}' does not have the administrator tag" in (result.reason or "")


def test_a_refused_login_is_found_with_its_own_fix(place: Callable[..., Place], user: Users) -> None:
    """Each reason has its fix in place of "start the broker"."""
    p = place()
    right, stranger, untagged = user(p.vhost), user(p.vhost, configure=None), user(p.vhost, tags="")
    amqp, management = p.settings.amqp, p.settings.management
    refused = {
        "wrong user or password": (right.user, "wr0ng-pw", "Correct the user or the password"),
        "has no permissions there; rabbitmqctl set_permissions": (
            stranger.user, stranger.password, "Run that rabbitmqctl command",
        ),
    }  # fmt: skip
    for reason, (name, password, remedy) in refused.items():
        login = msgspec.structs.replace(amqp, user=name, password=Secret(password))
        p.settings = msgspec.structs.replace(p.settings, amqp=login)
        (finding,) = (f for f in p.look(["AT101"]).findings if f.code == "AT101")
        assert reason in finding.detail
        assert finding.remedy.startswith(remedy)
        assert password not in finding.detail + finding.remedy
    of_the_api = {
        "wrong user or password": (
            msgspec.structs.replace(management, user=right.user, password=Secret("wr0ng-pw")),
            "Correct the user or the password",
        ),
        "has no management tag; rabbitmqctl set_user_tags": (
            msgspec.structs.replace(management, user=untagged.user, password=Secret(untagged.password)),
            "Run that rabbitmqctl command",
        ),
        "is unknown; check its spelling": (
            msgspec.structs.replace(management, host="no-such-host.invalid"), "Correct the host in the URL.",
        ),
    }  # fmt: skip
    for reason, (endpoint, remedy) in of_the_api.items():
        p.settings = msgspec.structs.replace(p.settings, amqp=amqp, management=endpoint)
        (finding,) = (f for f in p.look(["AT102"]).findings if f.code == "AT102")
        assert reason in finding.detail
        assert finding.remedy.startswith(remedy)
