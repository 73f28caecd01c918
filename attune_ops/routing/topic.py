"""Topic matching: a table of the keys without a wildcard, and a trie of the others' words, all branches walked at once.

`*` matches exactly one word and `#` zero or more, where they are the whole word (rabbit_exchange_type_topic,
rabbit_db_topic_exchange). An empty word is a word; the empty key has no words. The matcher keeps the set of nodes
reached after each word; the broker before 4.3 walks every combination of what several `#` may match.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from attune_ops.routing.route import RouteStep
from attune_ops.routing.routed_message import Match, RoutedMessage

ONE = "*"
ANY = "#"
LONG = 4  # words from the first `#` on; longer patterns are few, and `BitMatcher` has them


class Node:
    """A node of the trie: the next words, and the bindings that end here."""

    __slots__ = ("any", "children", "one", "repeats", "steps")

    def __init__(self, repeats: bool = False) -> None:
        self.children: dict[str, Node] = {}
        self.one: Node | None = None
        self.any: Node | None = None
        self.steps: list[RouteStep] = []
        self.repeats = repeats  # below a `#`: it matches further words and stays here

    def child(self, word: str) -> Node:
        """The node after this word of a binding key, created if missing."""
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
    """The same pattern with every run of wildcards in one order: `#.*.#` is equivalent to `*.#`."""
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

    def __init__(self, steps: Iterable[RouteStep]) -> None:
        self.by_key: dict[str, list[RouteStep]] = {}  # without a wildcard: with many workers nearly all
        self.root = Node()
        self.has_wildcards = False
        long_tailed: list[tuple[Sequence[str], RouteStep]] = []
        for step in steps:
            key = step.binding_key or ""
            if ANY not in key and ONE not in key:
                self.by_key.setdefault(key, []).append(step)
                continue
            self.has_wildcards = True
            pattern = plainest(words(key))
            if ANY in pattern and len(pattern) - pattern.index(ANY) > LONG:
                long_tailed.append((pattern, step))
                continue
            node = self.root
            for word in pattern:
                node = node.child(word)
            node.steps.append(step)
        self.long_tailed = BitMatcher(long_tailed) if long_tailed else None

    def match(self, message: RoutedMessage) -> Match:
        """The bindings that match any of the message's keys."""
        keys = message.keys
        if len(keys) == 1:
            return Match(self.matching(keys[0]))
        found = {id(step): step for key in keys for step in self.matching(key)}
        return Match(list(found.values()))

    def matching(self, key: str) -> Sequence[RouteStep]:
        """The bindings that match this key."""
        found = self.by_key.get(key, ())
        if not self.has_wildcards:
            return found
        split = words(key)
        others = self.long_tailed.match(split) if self.long_tailed else ()
        return [*found, *self._in_trie(split), *others]

    def _in_trie(self, key: Sequence[str]) -> list[RouteStep]:
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


class BitMatcher:
    """Bindings with a long tail after a `#`, as one automaton.

    Bit i of a pattern's bits says that its first i words other than `#` are matched. In the trie such a pattern can be
    at many nodes at the same time; here a word costs a few operations on one long integer, for any number of patterns.
    """

    def __init__(self, bindings: Iterable[tuple[Sequence[str], RouteStep]]) -> None:
        self._steps: dict[int, RouteStep] = {}  # by the bit of the whole pattern
        start: list[int] = []
        stays: list[int] = []  # position of a `#`: the bit stays for any word
        places: dict[str, list[int]] = {}  # positions of each word, `*` included
        bit = 0
        for pattern, step in bindings:
            start.append(bit)
            for word in pattern:
                if word == ANY:
                    stays.append(bit)
                else:
                    places.setdefault(word, []).append(bit)
                    bit += 1
            self._steps[bit] = step
            bit += 1
        self._places = places
        self._size = bit // 8 + 1
        self._start, self._stays, self._ends = map(self._mask, (start, stays, list(self._steps)))
        self._one = self._mask(places.get(ONE, []))
        # Built on demand: masks of all words would take memory words times positions.
        self._leads = lru_cache(maxsize=16)(lambda word: self._one | self._mask(places.get(word, [])))

    def _mask(self, bits: Iterable[int]) -> int:
        made = bytearray(self._size)
        for bit in bits:
            made[bit >> 3] |= 1 << (bit & 7)
        return int.from_bytes(made, "little")

    def match(self, words: Iterable[str]) -> list[RouteStep]:
        """The bindings that match a key of these words."""
        state = self._start
        for word in words:
            state = ((state & self._leads(word)) << 1) | (state & self._stays)
            if not state:
                return []
        return [self._steps[bit] for bit in _bits(state & self._ends, self._size)]


def _bits(number: int, size: int) -> Iterable[int]:
    """The positions of the ones in a number."""
    for at, byte in enumerate(number.to_bytes(size, "little")):
        while byte:
            low = byte & -byte
            yield (at << 3) + low.bit_length() - 1
            byte ^= low
