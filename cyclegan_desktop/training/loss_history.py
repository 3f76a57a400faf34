"""The losses of a whole training in memory: appended for weeks, smoothed, and thinned for the screen."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import islice
from operator import attrgetter
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from engine.events import LOSS_NAMES, Losses

Steps = npt.NDArray[np.int64]
Values = npt.NDArray[np.float64]
_Number = TypeVar("_Number", bound=np.generic)
_Item = TypeVar("_Item")

_BLOCK = 64
"""Points whose extremes are kept ready, so that drawing costs the same after a minute and after a week."""


@dataclass(frozen=True, slots=True)
class Thinned:
    """What is drawn of a range: few enough points for the screen, with every extreme among them.

    Attributes:
        raw_steps: [M], two points for each stretch of steps.
        raw: [8, M], the lowest and the highest value of each stretch in turn.
        smooth_steps: [K].
        smooth: [8, K].
    """

    raw_steps: Values
    raw: Values
    smooth_steps: Values
    smooth: Values


class LossHistory:
    """Eight losses against steps, in arrays that grow by doubling.

    Values are stored one row a loss, in the order of `LOSS_NAMES`. A value that is not finite is stored and left out
    of the smoothing.
    """

    def __init__(self, smoothing: float = 0.9) -> None:
        self._smoothing = smoothing
        self.clear()

    def clear(self) -> None:
        """Forget every point."""
        self._count = 0
        self._steps: Steps = np.empty(1024, np.int64)
        self._raw: Values = np.empty((len(LOSS_NAMES), 1024))
        self._smooth: Values = np.empty((len(LOSS_NAMES), 1024))
        self._low: Values = np.empty((len(LOSS_NAMES), 1024 // _BLOCK))
        self._high: Values = np.empty((len(LOSS_NAMES), 1024 // _BLOCK))
        # The sums of the exponential mean and of its weights: their quotient is free of the bias of the first steps.
        self._sum: Values = np.zeros(len(LOSS_NAMES))
        self._weight: Values = np.zeros(len(LOSS_NAMES))

    def __len__(self) -> int:
        return self._count

    @property
    def steps(self) -> Steps:
        """[N], the steps of the points; a view."""
        return self._steps[: self._count]

    @property
    def raw(self) -> Values:
        """[8, N], the losses as reported; a view."""
        return self._raw[:, : self._count]

    @property
    def smooth(self) -> Values:
        """[8, N], the exponential means up to each point; a view."""
        return self._smooth[:, : self._count]

    @property
    def smoothing(self) -> float:
        """How much of the mean stays at each point, 0 (none: the raw values) to below 1."""
        return self._smoothing

    def set_smoothing(self, smoothing: float) -> None:
        """Smooth every point anew with this share of the mean kept at each point."""
        self._smoothing = smoothing
        self._smooth_all()

    def append(self, step: int, losses: Losses) -> None:
        """Add the newest point."""
        if self._count == len(self._steps):
            self._grow(2 * self._count)
        values = np.array([getattr(losses, name) for name in LOSS_NAMES], np.float64)
        finite = np.isfinite(values)
        self._sum = self._smoothing * self._sum + np.where(finite, values, 0.0)
        self._weight = self._smoothing * self._weight + finite
        self._steps[self._count] = step
        self._raw[:, self._count] = values
        self._smooth[:, self._count] = _quotient(self._sum, self._weight)
        self._count += 1
        if self._count % _BLOCK == 0:
            self._finish_blocks(self._count // _BLOCK - 1)

    @classmethod
    def of(cls, points: Iterable[tuple[int, Losses]], smoothing: float = 0.9) -> LossHistory:
        """The history of these points, in order of their steps. Meant for a worker thread: there may be millions."""
        history = cls(smoothing)
        values = attrgetter(*LOSS_NAMES)
        # In portions, since one long call into numpy would keep every other thread waiting.
        for portion in _portions(points, 2000):
            begin, end = history._count, history._count + len(portion)
            if end > len(history._steps):
                history._grow(2 * end)
            history._steps[begin:end] = [step for step, _ in portion]
            history._raw[:, begin:end] = np.array([values(losses) for _, losses in portion]).T
            history._count = end
        history._finish_blocks(0)
        history._smooth_all()
        return history

    def cut_after(self, step: int) -> None:
        """Forget the points past this step: a training that goes on from an older checkpoint takes them anew."""
        self._count = int(np.searchsorted(self.steps, step, "right"))
        self._smooth_all()

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
            return Thinned(shown, self.raw[:, begin:end], shown, self.smooth[:, begin:end])
        begin -= begin % stride
        starts = np.arange(begin, end, stride)
        ends = np.minimum(starts + stride, end) - 1
        raw = np.empty((len(LOSS_NAMES), 2 * len(starts)))
        raw[:, 0::2], raw[:, 1::2] = self._extremes(begin, end, stride)
        return Thinned(
            np.repeat(steps[starts].astype(np.float64), 2),
            raw,
            steps[ends].astype(np.float64),
            self.smooth[:, ends],
        )

    def _extremes(self, begin: int, end: int, stride: int) -> tuple[Values, Values]:
        """The lowest and highest values of each stretch, [8, stretches] each."""
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

    def _finish_blocks(self, block: int) -> None:
        """Fill the table of extremes from `block` on."""
        blocks = self._count // _BLOCK - block
        if blocks <= 0:
            return
        part = self._raw[:, block * _BLOCK : (block + blocks) * _BLOCK].reshape(len(LOSS_NAMES), blocks, _BLOCK)
        self._low[:, block : block + blocks] = np.fmin.reduce(part, axis=2)
        self._high[:, block : block + blocks] = np.fmax.reduce(part, axis=2)

    def _smooth_all(self) -> None:
        finite = np.isfinite(self.raw)
        sums = _running_sum(np.where(finite, self.raw, 0.0), self._smoothing)
        weights = _running_sum(finite.astype(np.float64), self._smoothing)
        self._smooth[:, : self._count] = _quotient(sums, weights)
        empty = np.zeros(len(LOSS_NAMES))
        self._sum, self._weight = (sums[:, -1], weights[:, -1]) if self._count else (empty, empty)

    def _grow(self, capacity: int) -> None:
        capacity = -(-capacity // _BLOCK) * _BLOCK
        self._steps = _enlarged(self._steps, capacity)
        self._raw = _enlarged(self._raw, capacity)
        self._smooth = _enlarged(self._smooth, capacity)
        self._low = _enlarged(self._low, capacity // _BLOCK)
        self._high = _enlarged(self._high, capacity // _BLOCK)


def _portions(points: Iterable[_Item], size: int) -> Iterator[list[_Item]]:
    iterator = iter(points)
    while portion := list(islice(iterator, size)):
        yield portion


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
