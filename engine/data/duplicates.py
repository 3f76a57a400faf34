"""Pictures that may show the same, found among a hundred thousand by their hashes. Imports no torch."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from engine.data.picture_look import THUMBNAIL_SIDE, PictureLook

# Of 64 signs as many may differ, and the thumbnails' light must agree so well, before two files are compared.
_MOST_SIGNS = 18
_LEAST_LIGHT = 0.86
_BLOCK = 2048
# Levels of 256 by which thumbnails of the same pixels may differ.
_MOST_LEVELS_OFF = 8

Pair = tuple[int, int]


class Groups:
    """Numbers that belong together, by pairs (disjoint sets)."""

    def __init__(self, count: int) -> None:
        self._parents = list(range(count))

    def join(self, first: int, second: int) -> None:
        """The two, and all that belong to either, belong together."""
        low, high = sorted((self.leader(first), self.leader(second)))
        self._parents[high] = low

    def leader(self, number: int) -> int:
        """The lowest of those that a number belongs to."""
        while self._parents[number] != number:
            self._parents[number] = self._parents[self._parents[number]]
            number = self._parents[number]
        return number

    def of_several(self) -> list[list[int]]:
        """The groups of two and more, each in order."""
        members: dict[int, list[int]] = {}
        for number in range(len(self._parents)):
            members.setdefault(self.leader(number), []).append(number)
        return [group for group in members.values() if len(group) > 1]


def pairs_of_same(looks: Sequence[PictureLook]) -> list[Pair]:
    """Pairs that may have the same pixels: each picture with the first one that looks so."""
    firsts: dict[tuple[int, int, bytes], int] = {}
    pairs = []
    for number, look in enumerate(looks):
        first = firsts.setdefault((look.width, look.height, look.thumbnail), number)
        if first != number:
            pairs.append((first, number))
    return pairs


def may_be_same(look: PictureLook, other: PictureLook) -> bool:
    """Whether two pictures may have the same pixels; a JPEG is seen a little otherwise than its pixels in a PNG."""
    if (look.width, look.height) != (other.width, other.height):
        return False
    levels, others = (np.frombuffer(each.thumbnail, np.uint8).astype(np.int16) for each in (look, other))
    return int(np.abs(levels - others).max()) <= _MOST_LEVELS_OFF


def pairs_of_alike(looks: Sequence[PictureLook], *, most: int) -> Iterator[list[Pair]]:
    """Pairs that may show the same, block by block; both numbers count within `looks`, the lower first.

    Args:
        looks: The pictures, of which none is flat.
        most: After so many pairs there are no more: then the pictures are all alike, and hashes tell nothing.
    """
    if not looks:
        return
    hashes = np.frombuffer(b"".join(look.hash for look in looks), np.uint8).reshape(len(looks), -1)
    # The product of two rows of signs is the number of those that agree less those that differ.
    signs = np.where(np.unpackbits(hashes, axis=1), np.float32(1), np.float32(-1))
    least = signs.shape[1] - 2 * _MOST_SIGNS
    light = _standard_light(looks)
    found = 0
    for top in range(0, len(looks), _BLOCK):
        for left in range(top, len(looks), _BLOCK):
            pairs: list[Pair] = []
            agreeing = signs[top : top + _BLOCK] @ signs[left : left + _BLOCK].T
            rows, columns = np.nonzero(agreeing >= least)
            rows, columns = rows + top, columns + left
            ordered = rows < columns
            rows, columns = rows[ordered], columns[ordered]
            for part in range(0, len(rows), _BLOCK * 16):
                some = slice(part, part + _BLOCK * 16)
                likeness = np.einsum("ij,ij->i", light[rows[some]], light[columns[some]])
                good = likeness >= _LEAST_LIGHT
                pairs += zip(rows[some][good].tolist(), columns[some][good].tolist(), strict=True)
                if found + len(pairs) > most:
                    yield pairs[: most - found]
                    return
            found += len(pairs)
            yield pairs


def _standard_light(looks: Sequence[PictureLook]) -> npt.NDArray[np.float32]:
    """[N, 256]: the luminance of the thumbnails, each with mean 0 and length 1."""
    result = np.empty((len(looks), THUMBNAIL_SIDE**2), np.float32)
    for start in range(0, len(looks), _BLOCK):
        some = looks[start : start + _BLOCK]
        colours = np.frombuffer(b"".join(look.thumbnail for look in some), np.uint8).reshape(len(some), -1, 3)
        light = colours @ np.array([0.299, 0.587, 0.114], np.float32)
        light -= light.mean(axis=1, keepdims=True)
        result[start : start + len(some)] = light / np.maximum(np.linalg.norm(light, axis=1, keepdims=True), 1e-6)
    return result
