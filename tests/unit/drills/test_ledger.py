"""Every number is in exactly one class, whatever the logs say; what nothing explains is not hidden."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from attune_ops.drills.journal import CLASSES
from attune_ops.drills.ledger import (
    EXPIRED,
    FORGOTTEN,
    REJECTED,
    WITH_WORKER,
    Attempt,
    ConsumerEvent,
    Leftover,
    account,
)

Q = "worker.1.executions"
NUMBERS = st.integers(1, 5)
ATTEMPTS = st.builds(
    Attempt, NUMBERS, st.sampled_from(["confirmed", "returned", "nacked", "indeterminate"]), st.just(Q)
)
DELIVERIES = st.builds(
    ConsumerEvent, NUMBERS, st.sampled_from(["received", "handled", "acked", "rejected", "requeued"]), st.just(Q),
    st.booleans(), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
LEFTOVERS = st.builds(Leftover, NUMBERS, st.just(Q), st.sampled_from([None, "expired", "rejected", "maxlen"]))


@given(st.lists(ATTEMPTS), st.lists(DELIVERIES), st.lists(LEFTOVERS), st.booleans(), st.booleans())
def test_every_number_is_in_exactly_one_class(
    attempts: list[Attempt], deliveries: list[ConsumerEvent], leftovers: list[Leftover], gone: bool, expires: bool
) -> None:
    ledger = account(attempts, deliveries, leftovers, {Q: "gone"} if gone else {}, [Q] if expires else [])
    assert ledger.attempted == len({a.number for a in attempts})
    assert set(ledger.classes) == set(CLASSES)
    assert sum(ledger.classes.values()) + ledger.unaccounted == ledger.attempted
    assert len(ledger.missing) == ledger.unaccounted
    assert sum(len(loss.numbers) for loss in ledger.losses) == ledger.lost
    assert ledger.adds_up is (ledger.unaccounted == 0)


def one(
    outcome: str,
    *events: str,
    left: tuple[str | None, ...] = (),
    gone: bool = False,
    ttl: bool = False,
    crashed: bool = False,
    killed: bool = False,
) -> str:
    """The class of a message, or of a lost one its reason; '' where nothing explains it.

    An event with `!` is of a redelivered message, `early` is an acknowledgement before handling.
    """
    deliveries = [
        ConsumerEvent(1, "acked" if event == "early" else event.removesuffix("!"), Q, event.endswith("!"),
                      early=event == "early", crashed=crashed, killed=killed)
        for event in events
    ]  # fmt: skip
    ledger = account(
        [Attempt(1, outcome, Q)], deliveries, [Leftover(1, Q, x) for x in left],
        {Q: "its queue went"} if gone else {}, [Q] if ttl else [],
    )  # fmt: skip
    if ledger.losses:
        return ledger.losses[0].reason
    return next((name for name, n in ledger.classes.items() if n), "")


def test_classes() -> None:
    once = ("received", "handled", "acked")
    assert one("confirmed", *once) == "acknowledged_once"
    assert one("indeterminate", *once) == "acknowledged_once"
    assert one("confirmed", "received", "received!", "handled", "acked") == "redelivered"
    assert one("confirmed", *once, *once) == "duplicated"
    assert one("confirmed", *once, left=(None,)) == "duplicated"
    assert one("confirmed", "received", "acked") == FORGOTTEN
    assert one("confirmed", "received", "handled", "rejected", left=("rejected",)) == "dead_lettered"
    assert one("confirmed", "received", "handled", "rejected") == REJECTED
    assert one("confirmed", left=("expired",)) == "expired"
    assert one("confirmed", ttl=True) == EXPIRED
    assert one("confirmed", left=(None,)) == "queued"
    assert one("confirmed", gone=True) == "its queue went"
    assert one("returned") == "returned"
    assert one("nacked") == "nacked"
    assert one("indeterminate") == "indeterminate"
    assert one("confirmed") == "", "nothing explains it, so it is not accounted for"


def test_what_is_acknowledged_at_dispatch_counts_when_it_is_handled() -> None:
    assert one("confirmed", "received", "early", "handled") == "acknowledged_once"
    assert one("confirmed", "received", "early", crashed=True) == WITH_WORKER
    assert one("confirmed", "received", "early") == FORGOTTEN, "a worker that lives on has no such excuse"
    assert one("confirmed", "received", "early", crashed=True, gone=True) == WITH_WORKER
    # The acknowledgement did not arrive, and the broker requeued the message.
    assert one("confirmed", "received", "early", "received!", "early", "handled", crashed=True) == "redelivered"
    assert one("confirmed", "received", "early", left=(None,), crashed=True) == "queued"
    assert one("confirmed", "received", "early", "handled", "received!", "early", "handled") == "duplicated"


def test_a_kill_between_the_acknowledgement_and_its_line_in_the_log() -> None:
    assert one("confirmed", "received", "handled", killed=True) == "acknowledged_once"
    assert one("confirmed", "received", "handled", crashed=True) == "", "its broker may have lost it"
    assert one("confirmed", "received", killed=True) == "", "it was not handled"
    assert one("confirmed", "received", "handled", "received!", killed=True) == "", "it was requeued"
    assert one("confirmed", "received", "handled", killed=True, gone=True) == "its queue went"
    assert one("confirmed", "received", "handled", killed=True, left=(None,)) == "queued"


def test_a_second_attempt_that_arrived_settles_the_number() -> None:
    ledger = account(
        [Attempt(1, "returned", "worker.9.executions"), Attempt(1, "confirmed", Q)],
        [ConsumerEvent(1, e, Q) for e in ("received", "handled", "acked")], [], {},
    )  # fmt: skip
    assert ledger.classes["acknowledged_once"] == ledger.attempted == 1
    assert (ledger.published, ledger.confirmed, ledger.returned) == (2, 1, 1)
