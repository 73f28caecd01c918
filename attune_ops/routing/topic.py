"""Topic matching: a trie of binding words, walked by all its branches at once.

`*` stands for exactly one word and `#` for any number of them, none included, where they are the whole word
(rabbit_exchange_type_topic, rabbit_db_topic_exchange). An empty word is a word; the empty key has no words.
The set of nodes that are reached after each word is kept instead of each way there, where the broker before 4.3
walks every combination of what several `#` may stand for.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from attune_ops.routing.route import Step
from attune_ops.routing.routed_message import Match, Message
from attune_ops.routing.topic_bits import ANY, ONE, BitMatcher

LONG = 4  # words from the first `#` on; the longer patterns are few and are matched another way


class Node:
    """A place in the trie: the words that lead on, and the bindings that end here."""

    __slots__ = ("any", "children", "one", "repeats", "steps")

    def __init__(self, repeats: bool = False) -> None:
        self.children: dict[str, Node] = {}
        self.one: Node | None = None
        self.any: Node | None = None
        self.steps: list[Step] = []
        self.repeats = repeats  # below a `#`: it may take further words and stay here

    def child(self, word: str) -> Node:
        """The node after this word of a binding key, made where it is missing."""
        if word == ONE:
            self.one = self.one or Node()
            return self.one
        if word == ANY:
            self.any = self.any or Node(repeats=True)
            return self.any
        found = self.children.get(word)
        if found is None:
            found = self.children[word] = Node()
        return found


def words(key: str) -> list[str]:
    """The words of a key; the empty key has none, `.` has two empty ones."""
    return key.split(".") if key else []


def plainest(pattern: list[str]) -> list[str]:
    """The same pattern with every run of wildcards in one order: `#.*.#` asks for no more than `*.#` does."""
    found: list[str] = []
    hashes = 0
    for word in pattern:
        if word == ANY:
            hashes += 1
            continue
        if hashes and word != ONE:
            found.append(ANY)
            hashes = 0
        found.append(word)
    return [*found, ANY] if hashes else found


class TopicMatcher:
    """The bindings of one topic exchange."""

    def __init__(self, steps: Iterable[Step]) -> None:
        self.root = Node()
        long_tailed: list[tuple[Sequence[str], Step]] = []
        for step in steps:
            pattern = plainest(words(step.binding_key or ""))
            if ANY in pattern and len(pattern) - pattern.index(ANY) > LONG:
                long_tailed.append((pattern, step))
                continue
            node = self.root
            for word in pattern:
                node = node.child(word)
            node.steps.append(step)
        self.long_tailed = BitMatcher(long_tailed) if long_tailed else None

    def match(self, message: Message) -> Match:
        """The bindings that match any of the message's keys."""
        keys = message.keys
        if len(keys) == 1:
            return Match(self._match(keys[0]))
        found = {id(step): step for key in keys for step in self._match(key)}
        return Match(list(found.values()))

    def _match(self, key: str) -> list[Step]:
        split = words(key)
        found = self._in_trie(split)
        return found if self.long_tailed is None else [*found, *self.long_tailed.match(split)]

    def _in_trie(self, key: Sequence[str]) -> list[Step]:
        active = _with_any([self.root])
        for word in key:
            reached: list[Node] = []
            for node in active:
                following = node.children.get(word)
                if following is not None:
                    reached.append(following)
                if node.one is not None:
                    reached.append(node.one)
                if node.repeats:
                    reached.append(node)
            if not reached:
                return []
            active = _with_any(reached)
        return [step for node in active for step in node.steps]


def _with_any(nodes: list[Node]) -> list[Node]:
    """The nodes, each once, and those that a `#` of no words reaches from them."""
    if len(nodes) == 1 and nodes[0].any is None:
        return nodes
    found = dict.fromkeys(nodes)
    for node in nodes:
        following = node.any
        while following is not None and following not in found:
            found[following] = None
            following = following.any
    return list(found)
