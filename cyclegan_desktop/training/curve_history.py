"""Values against steps in memory: appended for weeks, smoothed, and thinned for the screen."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TypeVar

import numpy as np
import numpy.typing as npt

Steps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.generic)

_BLOCK = 64
"""Points whose extremes and sums are kept ready: drawing costs the same after a minute and after a week."""


@dataclass(frozen=True, slots=True)
class Thinned:
    """What is drawn of a range: few enough points for the screen, with every extreme among them.

    Attributes:
        raw_steps: [M], two points for each stretch of steps.
        raw: [C, M], the lowest and the highest value of each stretch in turn.
        smooth_steps: [K].
        smooth: [C, K].
    """

    raw_steps: Values
    raw: Values
    smooth_steps: Values
    smooth: Values


class CurveHistory:
    """C curves against steps, in arrays that grow by doubling.

    A value that is not finite is stored and left out of the smoothing. Smoothed values are not stored: they follow
    from the sums at the end of each block, so that a million points are smoothed anew while a slider moves.
    """

    def __init__(self, names: Sequence[str], smoothing: float = 0.9) -> None:
        self.names = tuple(names)
        self._smoothing = smoothing
        self.clear()

    def clear(self) -> None:
        """Forget every point."""
        curves = len(self.names)
        self._count = 0
        self._steps: Steps = np.empty(1024, np.int64)
        self._raw: Values = np.empty((curves, 1024))
        # Of each whole block: its extremes, and the sums of the exponential mean and of its weights up to its end.
        # The quotient of the two sums is free of the bias of the first steps.
        self._low: Values = np.empty((curves, 1024 // _BLOCK))
        self._high: Values = np.empty((curves, 1024 // _BLOCK))
        self._sums: Values = np.empty((curves, 1024 // _BLOCK))
        self._weights: Values = np.empty((curves, 1024 // _BLOCK))

    def __len__(self) -> int:
        return self._count

    @property
    def steps(self) -> Steps:
        """[N], the steps of the points; a view."""
        return self._steps[: self._count]

    @property
    def raw(self) -> Values:
        """[C, N], the values as reported; a view."""
        return self._raw[:, : self._count]

    @property
    def has_values(self) -> npt.NDArray[np.bool_]:
        """[C], whether a curve is anything but 0 throughout."""
        blocks = self._count // _BLOCK
        parts = self._low[:, :blocks], self._high[:, :blocks], self._raw[:, blocks * _BLOCK : self._count]
        found: npt.NDArray[np.bool_] = np.any([part.any(axis=1) for part in parts], axis=0)
        return found

    @property
    def smooth(self) -> Values:
        """[C, N], the exponential means up to each point."""
        return self._smoothed(0, self._count)

    @property
    def smoothing(self) -> float:
        """How much of the mean stays at each point, 0 (none: the raw values) to below 1."""
        return self._smoothing

    def set_smoothing(self, smoothing: float) -> None:
        """Smooth every point anew with this share of the mean kept at each point."""
        self._smoothing = smoothing
        self._sum_blocks(0)

    def append_values(self, step: int, values: Sequence[float]) -> None:
        """Add the newest point, one value a curve."""
        if self._count == len(self._steps):
            self._grow(2 * self._count)
        self._steps[self._count] = step
        self._raw[:, self._count] = values
        self._count += 1
        if self._count % _BLOCK == 0:
            self._finish_blocks(self._count // _BLOCK - 1)

    def extend(self, steps: Sequence[int] | Steps, values: Values) -> None:
        """Add many points at once; `values` is [C, M]."""
        begin, end = self._count, self._count + len(steps)
        if end > len(self._steps):
            self._grow(2 * end)
        self._steps[begin:end] = steps
        self._raw[:, begin:end] = values
        self._count = end
        self._finish_blocks(begin // _BLOCK)

    def cut_after(self, step: int) -> None:
        """Forget the points past this step: a training that goes on from an older checkpoint takes them anew."""
        # The tables of the blocks that stay whole stay true; the others are written again as they fill.
        self._count = int(np.searchsorted(self.steps, step, "right"))

    def thinned(self, first: float, last: float, stretches: int) -> Thinned:
        """The points from step `first` to step `last`, and one beyond each end, in at most about `stretches` stretches.

        Stretches are a power of two of points, counted from the very first: as points come they stay where they are,
        and the curve does not shimmer.
        """
        steps = self.steps
        begin = max(0, int(np.searchsorted(steps, first, "left")) - 1)
        end = min(self._count, int(np.searchsorted(steps, last, "right")) + 1)
        stride = 1
        while stride * stretches < end - begin:
            stride *= 2
        if stride == 1:
            shown = steps[begin:end].astype(np.float64)
            return Thinned(shown, self.raw[:, begin:end], shown, self._smoothed(begin, end))
        begin -= begin % stride
        starts = np.arange(begin, end, stride)
        ends = np.minimum(starts + stride, end) - 1
        raw = np.empty((len(self.names), 2 * len(starts)))
        raw[:, 0::2], raw[:, 1::2] = self._extremes(begin, end, stride)
        return Thinned(
            np.repeat(steps[starts].astype(np.float64), 2),
            raw,
            steps[ends].astype(np.float64),
            self._smoothed_at(begin, ends, stride),
        )

    def _extremes(self, begin: int, end: int, stride: int) -> tuple[Values, Values]:
        """The lowest and highest values of each stretch, [C, stretches] each."""
        if stride < _BLOCK:
            starts = np.arange(0, end - begin, stride)
            part = self._raw[:, begin:end]
            return np.fmin.reduceat(part, starts, axis=1), np.fmax.reduceat(part, starts, axis=1)
        # Whole blocks from the table, and what has come since the last of them point by point.
        block, blocks = begin // _BLOCK, end // _BLOCK
        low, high = self._low[:, block:blocks], self._high[:, block:blocks]
        if end % _BLOCK:
            rest = self._raw[:, blocks * _BLOCK : end]
            low = np.concatenate([low, np.fmin.reduce(rest, axis=1)[:, None]], axis=1)
            high = np.concatenate([high, np.fmax.reduce(rest, axis=1)[:, None]], axis=1)
        starts = np.arange(0, low.shape[1], stride // _BLOCK)
        return np.fmin.reduceat(low, starts, axis=1), np.fmax.reduceat(high, starts, axis=1)

    def _smoothed_at(self, begin: int, ends: npt.NDArray[np.int64], stride: int) -> Values:
        """The exponential means at the points `ends`, the last of each stretch from `begin` on."""
        if stride < _BLOCK:
            return self._smoothed(begin, int(ends[-1]) + 1)[:, ends - begin]
        # Every stretch but the last ends with a block.
        blocks = (ends[:-1] + 1) // _BLOCK - 1
        whole = _quotient(self._sums[:, blocks], self._weights[:, blocks])
        last = int(ends[-1])
        return np.concatenate([whole, self._smoothed(last, last + 1)], axis=1)

    def _smoothed(self, begin: int, end: int) -> Values:
        """[C, end - begin], the exponential means up to each of these points."""
        block = begin // _BLOCK
        part = self._raw[:, block * _BLOCK : end]
        finite = np.isfinite(part)
        sums = _running_sum(np.where(finite, part, 0.0), self._smoothing)
        weights = _running_sum(finite.astype(np.float64), self._smoothing)
        if block:
            # What is left of all that came before.
            kept = self._smoothing ** np.arange(1, part.shape[1] + 1)
            sums += self._sums[:, block - 1, None] * kept
            weights += self._weights[:, block - 1, None] * kept
        skipped = begin - block * _BLOCK
        return _quotient(sums[:, skipped:], weights[:, skipped:])

    def _finish_blocks(self, block: int) -> None:
        """Fill the tables from `block` on."""
        blocks = self._count // _BLOCK - block
        if blocks <= 0:
            return
        part = self._blocks(block)
        self._low[:, block : block + blocks] = np.fmin.reduce(part, axis=2)
        self._high[:, block : block + blocks] = np.fmax.reduce(part, axis=2)
        self._sum_blocks(block)

    def _sum_blocks(self, block: int) -> None:
        """Fill the table of sums from `block` on: each block by itself, and then what is kept of those before."""
        blocks = self._count // _BLOCK - block
        if blocks <= 0:
            return
        part = self._blocks(block)
        kept = self._smoothing ** np.arange(_BLOCK - 1, -1, -1)
        with np.errstate(invalid="ignore"):
            sums, weights = part @ kept, np.full(part.shape[:2], kept.sum())
        # Looking at the sums is much quicker than looking at every value.
        if not np.isfinite(sums).all():
            finite = np.isfinite(part)
            sums, weights = np.where(finite, part, 0.0) @ kept, finite @ kept
        over_a_block = self._smoothing**_BLOCK
        if block:
            sums[:, 0] += over_a_block * self._sums[:, block - 1]
            weights[:, 0] += over_a_block * self._weights[:, block - 1]
        self._sums[:, block : block + blocks] = _running_sum(sums, over_a_block)
        self._weights[:, block : block + blocks] = _running_sum(weights, over_a_block)

    def _blocks(self, block: int) -> Values:
        """[C, blocks, 64], the points of the whole blocks from `block` on."""
        whole = self._count // _BLOCK * _BLOCK
        return self._raw[:, block * _BLOCK : whole].reshape(len(self.names), -1, _BLOCK)

    def _grow(self, capacity: int) -> None:
        capacity = -(-capacity // _BLOCK) * _BLOCK
        self._steps = _enlarged(self._steps, capacity)
        self._raw = _enlarged(self._raw, capacity)
        for name in ("_low", "_high", "_sums", "_weights"):
            setattr(self, name, _enlarged(getattr(self, name), capacity // _BLOCK))


def _running_sum(values: Values, kept: float) -> Values:
    """y[t] = kept * y[t - 1] + values[t] along the last axis, by doubling: 2, 4, 8, ... terms at a time."""
    result = values.copy()
    reach = 1
    factor = kept
    while reach < result.shape[-1] and factor > 1e-9:
        # The right side is made whole before it is added, as it reads what it changes.
        result[..., reach:] += factor * result[..., :-reach]
        factor *= factor
        reach *= 2
    return result


def _quotient(sums: Values, weights: Values) -> Values:
    """`sums / weights`, and NaN where nothing was summed."""
    return np.divide(sums, weights, out=np.full_like(sums, np.nan), where=weights > 0)


def _enlarged(array: npt.NDArray[_Number], capacity: int) -> npt.NDArray[_Number]:
    larger = np.empty((*array.shape[:-1], capacity), array.dtype)
    larger[..., : array.shape[-1]] = array
    return larger
