"""Merkle trees as RFC 6962 hashes them: what one digest says of many lines, and the proof that one is among them."""

import hashlib
from collections.abc import Iterable, Sequence
from functools import reduce


def leaf_hash(content: bytes) -> bytes:
    """The hash of one leaf."""
    return hashlib.sha256(b"\0" + content).digest()


def root_of(leaves: Sequence[bytes]) -> bytes:
    """The root over hashes of leaves; of none, the hash of nothing."""
    level = list(leaves) or [hashlib.sha256().digest()]
    while len(level) > 1:
        pairs = [_inner(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        # One without a neighbour goes up as it is.
        level = pairs + level[len(pairs) * 2 :]
    return level[0]


def roots_of(leaves: Sequence[bytes], sizes: Iterable[int]) -> dict[int, bytes]:
    """The roots over the first leaves, for several numbers of them, in one going-over."""
    wanted, found = set(sizes), {}
    # Whole trees from the largest to the smallest, with how many leaves each has.
    trees: list[tuple[int, bytes]] = []
    for size, leaf in enumerate(leaves, start=1):
        trees.append((1, leaf))
        while len(trees) > 1 and trees[-1][0] == trees[-2][0]:
            (count, right), (_, left) = trees.pop(), trees.pop()
            trees.append((2 * count, _inner(left, right)))
        if size in wanted:
            found[size] = reduce(lambda right, left: _inner(left, right), [root for _, root in reversed(trees)])
    return found


def inclusion(leaves: Sequence[bytes], index: int) -> list[bytes]:
    """What is beside the way from one leaf up to the root, from below."""
    beside, level = [], list(leaves)
    while len(level) > 1:
        if (other := index ^ 1) < len(level):
            beside.append(level[other])
        pairs = [_inner(*level[at : at + 2]) for at in range(0, len(level) - 1, 2)]
        level, index = pairs + level[len(pairs) * 2 :], index // 2
    return beside


def climbed(leaf: bytes, index: int, size: int, beside: Iterable[bytes]) -> bytes:
    """The root to which a proof leads from a leaf; raises ValueError: it is no proof of that length."""
    last, found, left = size - 1, leaf, list(beside)
    if not 0 <= index < size:
        raise ValueError("no such leaf")
    while last:
        if index % 2 or index < last:
            if not left:
                raise ValueError("too short")
            other = left.pop(0)
            found = _inner(other, found) if index % 2 else _inner(found, other)
        index, last = index // 2, last // 2
    if left:
        raise ValueError("too long")
    return found


def _inner(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\1" + left + right).digest()
