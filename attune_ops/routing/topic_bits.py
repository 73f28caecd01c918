"""Topic bindings with long tails behind a `#`, matched all at once, a bit for each place in a pattern.

Such a pattern can be at many of its places at the same time, so that the trie would visit nearly every node for
every word. Here a word costs a few operations on one long integer, however many patterns there are.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache

from attune_ops.routing.route import Step

ONE = "*"
ANY = "#"


class BitMatcher:
    """Some bindings as one automaton. Bit i of a pattern's bits says that its first i words but `#` are matched."""

    def __init__(self, bindings: Iterable[tuple[Sequence[str], Step]]) -> None:
        self._steps: dict[int, Step] = {}  # by the bit that says that the whole pattern is matched
        start: list[int] = []
        stays: list[int] = []  # a `#` stands here: the bit stays whatever word comes
        places: dict[str, list[int]] = {}  # where each word, `*` too, leads on
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
        # Made when a word comes by: one for each word of the bindings would take memory words times places.
        self._leads = lru_cache(maxsize=16)(lambda word: self._one | self._mask(places.get(word, [])))

    def _mask(self, bits: Iterable[int]) -> int:
        made = bytearray(self._size)
        for bit in bits:
            made[bit >> 3] |= 1 << (bit & 7)
        return int.from_bytes(made, "little")

    def match(self, words: Iterable[str]) -> list[Step]:
        """The bindings that match a key of these words."""
        state = self._start
        for word in words:
            state = ((state & self._leads(word)) << 1) | (state & self._stays)
            if not state:
                return []
        return [self._steps[bit] for bit in _bits(state & self._ends, self._size)]


def _bits(number: int, size: int) -> Iterable[int]:
    """The places of the ones in a number."""
    for at, byte in enumerate(number.to_bytes(size, "little")):
        while byte:
            low = byte & -byte
            yield (at << 3) + low.bit_length() - 1
            byte ^= low
