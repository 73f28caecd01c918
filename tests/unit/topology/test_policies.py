"""What a policy does to each object: in force, hidden, hiding, without effect; what is lost; what is dangerous."""

from __future__ import annotations

import re
import socket
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from attune_ops.installation.config import resolve
from attune_ops.model.errors import SourceError
from attune_ops.model.facts import Facts, Reach, Source
from attune_ops.model.snapshot import PolicyState
from attune_ops.model.topologies import load
from attune_ops.topology.policies.apply_policy import _make
from attune_ops.topology.policies.effects import effective_objects, presets, preview_removal, preview_set, undo
from attune_ops.topology.policies.policy_change import Effect, PolicyChange
from tests.servers import server
from tests.unit.facts import facts as installation
from tests.unit.facts import queue
from tests.world import words_of

EVENTS = "attune.events.queue"


def policy(name: str = "new", pattern: str = "^attune\\.events\\.queue$", **changes: Any) -> PolicyState:
    made = PolicyState("/", name, pattern, "queues", 1, {"max-length": 10})
    return msgspec.structs.replace(made, **changes)


def with_policies(*policies: PolicyState, **queues: Any) -> Facts:
    """The installation with these policies; `queues` are changes to the events queue."""
    made = installation()
    assert made.broker is not None
    changed = tuple(msgspec.structs.replace(q, **queues) if q.name == EVENTS else q for q in made.broker.queues or ())
    return msgspec.structs.replace(made, broker=msgspec.structs.replace(made.broker, policies=policies, queues=changed))


def only(change: PolicyChange) -> Effect:
    (one,) = change.effects
    return one


def test_a_policy_alone_is_in_force() -> None:
    assert only(preview_set(with_policies(), policy())) == Effect("queue", EVENTS, "in force")


def test_a_policy_hides_one_of_lower_priority_and_what_only_that_one_sets() -> None:
    old = policy("old", priority=0, definition={"message-ttl": 5, "max-length": 7})
    assert only(preview_set(with_policies(old), policy())) == Effect(
        "queue", EVENTS, "hides", "old", {"message-ttl": 5}
    )


def test_an_argument_keeps_what_a_hidden_policy_set_too() -> None:
    old = policy("old", priority=0, definition={"message-ttl": 5})
    facts = with_policies(old, arguments={"x-message-ttl": 9})
    assert only(preview_set(facts, policy())).loses == {}


def test_a_policy_is_hidden_by_one_of_higher_priority() -> None:
    other = policy("other", priority=9)
    assert only(preview_set(with_policies(other), policy())) == Effect("queue", EVENTS, "hidden", "other")


def test_the_same_priority_is_unspecified_and_said() -> None:
    change = preview_set(with_policies(policy("other")), policy())
    assert only(change).outcome == "unspecified"
    assert any("is undefined" in w and "other" in w for w in change.warnings)


def test_a_key_that_the_type_lacks_keeps_the_whole_policy_off() -> None:
    change = preview_set(with_policies(), policy(definition={"delivery-limit": 3, "max-length": 1}))
    assert only(change) == Effect("queue", EVENTS, "not applied", overruled=("a classic queue has no delivery-limit",))


def test_arguments_and_operator_policies_overrule() -> None:
    operator = policy("limit", definition={"max-length": 5}, operator=True)
    facts = with_policies(operator, arguments={"x-dead-letter-exchange": "attune.dlx", "x-message-ttl": 1})
    new = policy(definition={"dead-letter-exchange": "other", "message-ttl": 2, "max-length": 10})
    assert set(only(preview_set(facts, new)).overruled) == {
        "dead-letter-exchange stays 'attune.dlx' by its argument",
        "message-ttl stays 1 by its argument",
        "max-length stays 5 by its operator policy",
    }


def test_changing_a_policy_says_what_it_does_not_set_any_more() -> None:
    change = preview_set(with_policies(policy(definition={"message-ttl": 5})), policy())
    assert only(change) == Effect("queue", EVENTS, "in force", loses={"message-ttl": 5})
    assert change.undo is not None
    assert "--definition" in change.undo.words


def test_removing_a_policy_lets_another_take_over_or_none() -> None:
    new, old = policy(), policy("old", priority=0, definition={"message-ttl": 5})
    facts = with_policies(new, old)
    assert only(preview_removal(facts, "new")) == Effect("queue", EVENTS, "falls back", "old", {"max-length": 10})
    assert only(preview_removal(with_policies(new), "new")) == Effect("queue", EVENTS, "none", loses={"max-length": 10})
    assert preview_removal(facts, "missing").before is None


def test_what_each_policy_is_in_force_for() -> None:
    everything = policy("all", pattern="", apply_to="all", priority=0)
    found = effective_objects(with_policies(policy(), everything))
    assert found["new"] == [EVENTS]
    assert "exchange attune.events" in found["all"]
    assert EVENTS not in found["all"]


@pytest.mark.parametrize(
    ("definition", "says"),
    [
        ({"expires": 1000}, "they are not dead-lettered"),
        ({"expires": 1000, "message-ttl": 500}, "they are not dead-lettered"),
        ({"max-length": 5}, "are dropped"),
        ({"max-length": 5, "dead-letter-exchange": "attune.dlx"}, "are dead-lettered"),
        ({"dead-letter-exchange": "nope"}, "does not exist"),
        ({"dead-letter-exchange": "amq.topic"}, "nothing is bound to"),
        ({"alternate-exchange": "nope"}, "unroutable messages are dropped"),
    ],
)
def test_warnings(definition: dict[str, Any], says: str) -> None:
    assert any(says in w for w in preview_set(with_policies(), policy(definition=definition)).warnings)


def test_no_warning_where_all_is_well() -> None:
    safe = {"expires": 1000, "message-ttl": 500, "dead-letter-exchange": "attune.events"}
    assert preview_set(with_policies(), policy(definition=safe)).warnings == ()


def test_who_may_not_set_policies_is_told_so() -> None:
    reach = Reach(Source.MANAGEMENT, user="bob", tags=("monitoring",))
    facts = msgspec.structs.replace(with_policies(policy()), reach=(reach,))
    for change in (preview_set(facts, policy()), preview_removal(facts, "new")):
        assert any("rabbitmqctl set_user_tags bob monitoring policymaker" in r for r in change.refusals)
        assert "would not be" in str(change)
        assert change.effects, "another may set it"


@pytest.mark.parametrize("change", [{"definition": {}}, {"pattern": "["}, {"definition": {"bogus": 1}}])
def test_what_would_be_refused_is_not_called_in_force(change: dict[str, Any]) -> None:
    said = preview_set(with_policies(), policy(**change))
    assert said.refusals
    assert (said.effects, said.warnings) == ((), ())
    text = str(said)
    assert "policy new would not be set: the broker would refuse it" in text
    assert "effective" not in text
    assert "undo" not in text


def test_a_policy_that_is_set_before_the_broker_goes_away_has_an_undo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path))

    def talk(client: socket.socket) -> None:
        if client.recv(65536).startswith(b"PUT"):
            client.sendall(b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    with server(talk) as port:
        urls = {"amqp_url": "amqp://u:p@127.0.0.1:1/%2F", "management_url": f"http://127.0.0.1:{port}"}
        change = preview_set(with_policies(), policy())
        with pytest.raises(SourceError, match=r"; the policy was set before; undo: attune-ops policy remove "):
            _make(resolve(urls, {}), change, policy(), True, None)


def test_a_removed_policy_was_in_force() -> None:
    said = preview_removal(with_policies(policy()), "new")
    assert "would be removed; it is effective for 1 object" in str(said)
    assert "removed; it was effective for 1 object" in str(msgspec.structs.replace(said, applied=True))


@pytest.mark.parametrize("topology", ["attune-2026-09", "attune-0.6"])
def test_the_dead_letter_policy_gives_the_key_of_the_binding(topology: str) -> None:
    """It is for the queues that dead-letter with the messages' own keys; January's exchange has no queue to name."""
    wanted = load(topology)
    made = presets(wanted)["dead-letters"]
    assert made.definition == {"dead-letter-routing-key": "#"}
    queues = [*wanted.base_queues, *wanted.worker_queues(7)]
    chosen = {q.name for q in queues if re.search(made.pattern, q.name)}
    assert chosen == {q.name for q in queues if "x-dead-letter-exchange" in q.arguments}
    assert "dead-letters" not in presets(load("attune-2026-01"))


@pytest.mark.parametrize("topology", ["attune-2026-01", "attune-2026-09"])
def test_the_safety_policies_mean_their_own_queues_and_no_others(topology: str) -> None:
    wanted = load(topology)
    made = presets(wanted)
    own = [q.name for i in (1, 20, -3) for q in wanted.worker_queues(i)]
    base = [q.name for q in wanted.base_queues]
    for pattern, names, others in (
        (made["worker-queues"].pattern, own, [*base, "worker.x.executions", "worker.1.executions.old", "my.worker.1"]),
        (made["base-queues"].pattern, base, [*own, "attuneXevents.queue", "other"]),
        (made["exchanges"].pattern, [e.name for e in wanted.exchanges], ["amq.topic", ""]),
    ):
        assert all(re.search(pattern, name) for name in names)
        assert not any(re.search(pattern, name) for name in others)


TEXT = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), min_size=1, max_size=20)


@settings(max_examples=40, deadline=None)
@given(TEXT, TEXT)
def test_the_undo_is_one_line_that_a_shell_reads_as_it_was(name: str, pattern: str) -> None:
    undone = str(undo(name, policy(name, pattern, definition={"dead-letter-exchange": "it's"})))
    words = words_of(undone)
    assert "\n" not in undone
    assert f"--pattern={pattern}" in words
    assert words[-3:] == ["--apply", "--", name]


def test_a_quorum_queue_and_a_classic_one() -> None:
    made = installation()
    assert made.broker is not None
    broker = msgspec.structs.replace(made.broker, queues=(queue("a"), queue("b", type="quorum")))
    change = preview_set(
        msgspec.structs.replace(made, broker=broker), policy(pattern=".", definition={"delivery-limit": 3})
    )
    assert [(e.name, e.outcome) for e in change.effects] == [("a", "not applied"), ("b", "in force")]
