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
        again = p.look(["AT117"])
        fix(p, again, run, ("AT117",))
        return not found(again, Severity.ERROR)

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
    right, stranger = user(p.vhost), user(p.vhost, configure=None)
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
    login = msgspec.structs.replace(management, user=right.user, password=Secret("wr0ng-pw"))
    p.settings = msgspec.structs.replace(p.settings, amqp=amqp, management=login)
    (finding,) = (f for f in p.look(["AT102"]).findings if f.code == "AT102")
    assert "wrong user or password" in finding.detail
    assert finding.remedy.startswith("Correct the user or the password")
