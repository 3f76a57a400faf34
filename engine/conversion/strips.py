"""The layers of a generator as features of which any rows can be had, a strip at a time.

A pass asks a feature for consecutive strips from its first row to its last. Each layer asks the one before it for the
rows that it has not had yet and keeps the few that the next strip needs again, so nothing is computed twice in a pass.
Strips are [1, C, rows, W] with the channels of a pixel side by side ("channels last"): consecutive rows are then one
piece of memory or file, and convolutions are fastest so.
"""

from __future__ import annotations

import io
import math
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.data.source_file import Pixels
from engine.model.picture_tensors import to_tensor

Activation: TypeAlias = Literal["relu", "leaky"] | None

# Pixels of a row whose statistics are taken at once on a CPU, in float32: few enough to lose nothing of their sum.
_PIXELS_AT_ONCE = 512

# A GPU wants few and large steps: values, in float64.
_VALUES_AT_ONCE_ON_GPU = 1_048_576

# Statistics of pieces that wait to be merged.
_MOST_PIECES = 250

# That of `InstanceNorm`.
_EPSILON = 1e-5

# A picture's strip in bytes a pixel: cut out and padded, as a tensor, in [-1, 1], in the order of channels wanted.
_PICTURE_BYTES = 48


@dataclass(frozen=True, slots=True)
class Shape:
    """Of a whole feature: [1, channels, height, width] of `dtype`."""

    channels: int
    height: int
    width: int
    dtype: torch.dtype

    def bytes(self, rows: int, *, wider: int = 0) -> int:
        """Of that many rows, each `wider` pixels wider."""
        return self.channels * rows * (self.width + wider) * self.dtype.itemsize


class Rows(Protocol):
    """A feature of which rows can be had."""

    @property
    def shape(self) -> Shape:
        """Of the whole feature."""

    @property
    def sources(self) -> tuple[Rows, ...]:
        """The features that this one is computed from."""

    @property
    def held(self) -> int:
        """Bytes that it and all that it is computed from keep from strip to strip."""

    def rows(self, start: int, stop: int) -> Tensor:
        """[1, C, stop - start, W], not to be written to. `start` is the last `stop`, or 0 in a new pass."""

    def working(self, count: int) -> int:
        """The most bytes that are taken at once while `count` rows are made, with what is kept for the next ones."""


class PictureRows:
    """The picture in [-1, 1], float32, its edges repeated below and to the right up to the generator's size."""

    sources: tuple[Rows, ...] = ()
    held = 0

    def __init__(self, pixels: Pixels, height: int, width: int, device: torch.device, *, grey: bool) -> None:
        """`pixels` are [H, W, 3], of which every strip is read when it is wanted."""
        self.shape = Shape(1 if grey else 3, height, width, torch.float32)
        self._pixels = pixels
        self._device = device
        self._grey = grey

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`, but any rows at any time."""
        height, width = self._pixels.shape[:2]
        last = height - 1
        cut = np.asarray(self._pixels[min(start, last) : max(min(stop, height), min(start, last) + 1)])
        below = stop - start - len(cut)
        padded = np.pad(cut, ((0, below), (0, self.shape.width - width), (0, 0)), mode="edge")
        return to_tensor(padded, self._device, grey=self._grey).contiguous(memory_format=torch.channels_last)

    def working(self, count: int) -> int:
        """As in `Rows`."""
        return _PICTURE_BYTES * count * self.shape.width


class Stored:
    """A feature that was computed before and is kept in memory or in a file.

    One that is not necessary may be neither: its rows are then computed anew from where they came.

    Attributes:
        is_necessary: Whether it must be stored.
    """

    def __init__(self, shape: Shape, device: torch.device, *, instead: Rows | None = None) -> None:
        self.shape = shape
        self.is_necessary = instead is None
        self._instead = instead
        self._device = device
        self._memory: Tensor | None = None
        self._file: io.FileIO | None = None

    @property
    def sources(self) -> tuple[Rows, ...]:
        """As in `Rows`: what it is computed from if it is not stored."""
        return () if self._instead is None else (self._instead,)

    @property
    def held(self) -> int:
        """As in `Rows`."""
        return 0 if self._instead is None else self._instead.held

    @property
    def size(self) -> int:
        """In bytes."""
        return self.shape.bytes(self.shape.height)

    def keep_in_memory(self) -> None:
        """Take the machine's memory for it."""
        shape = self.shape
        self._memory = torch.empty(shape.height, shape.width, shape.channels, dtype=shape.dtype)

    def keep_in_file(self, folder: Path) -> None:
        """Keep it in a file without a name, which vanishes with this process whatever ends it."""
        # Not a map into memory: that would count as this process's memory, and a full disk would kill it.
        self._file = tempfile.TemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def release(self) -> None:
        """Give back its memory, or its file."""
        self._memory = None
        if self._file is not None:
            self._file.close()
            self._file = None

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`; any rows at any time if it is stored."""
        if self._memory is not None:
            strip = self._memory[start:stop]
        elif self._file is not None:
            strip = torch.empty(stop - start, self.shape.width, self.shape.channels, dtype=self.shape.dtype)
            self._file.seek(self.shape.bytes(start))
            left = _bytes_of(strip)
            while len(left):
                count = self._file.readinto(left)
                assert count, "a strip is read that was not written"
                left = left[count:]
        else:
            assert self._instead is not None, "this feature is not stored"
            return self._instead.rows(start, stop)
        return strip.to(self._device).permute(2, 0, 1)[None]

    def write(self, start: int, strip: Tensor) -> None:
        """Store a strip, [1, C, rows, W], from row `start` on; nothing is done if it is not stored.

        Raises:
            OSError: The disk is full, for example.
        """
        rows = strip[0].permute(1, 2, 0)
        if self._memory is not None:
            self._memory[start : start + len(rows)] = rows
        elif self._file is not None:
            self._file.seek(self.shape.bytes(start))
            left = _bytes_of(rows.cpu().contiguous())
            while len(left):
                left = left[self._file.write(left) :]

    def working(self, count: int) -> int:
        """As in `Rows`, wherever it is kept."""
        return self.shape.bytes(count) if self._instead is None else self._instead.working(count)


class Moments:
    """Mean and variance of each channel of a feature, gathered strip by strip.

    Those of small pieces are merged in float64 (Chan et al. 1983), which is as exact as those of all values at once. On
    a CPU neither the height of the strips nor the number of threads changes a bit: a piece is a part of one row, and
    they are merged in the picture's order.

    Attributes:
        mean: [C] float32, once `finish` was called.
        scale: [C] float32, what divides by the deviation; likewise.
    """

    def __init__(self) -> None:
        self.mean = torch.empty(0)
        self.scale = torch.empty(0)
        self._pieces: list[tuple[int, Tensor, Tensor]] = []

    def add(self, strip: Tensor) -> None:
        """Take in a strip, [1, C, rows, W]."""
        rows = strip[0].permute(1, 2, 0)
        if strip.device.type != "cpu":
            flat = rows.flatten(0, 1)
            for piece in torch.split(flat, max(1, _VALUES_AT_ONCE_ON_GPU // flat.shape[1])):
                self._add_piece(len(piece), *_wide_moments(piece))
            return
        threads = torch.get_num_threads()
        # Pieces are too small for several; and each number of threads would sum in an order of its own. Other threads
        # that compute keep theirs: see `use_threads`.
        torch.set_num_threads(1)
        try:
            nothing, one = torch.zeros(rows.shape[2]), torch.ones(rows.shape[2])
            for row in rows:
                for piece in torch.split(row, _PIXELS_AT_ONCE):
                    # A batch norm's own statistics, float32 also of half precision; 0 leaves running ones alone.
                    mean, variance = torch.batch_norm_update_stats(piece, nothing, one, 0.0)
                    self._add_piece(len(piece), mean, variance.mul_(len(piece)))
        finally:
            torch.set_num_threads(threads)

    def finish(self) -> None:
        """Set `mean` and `scale`."""
        self._merge()
        [(count, mean, squares)] = self._pieces
        # Rounded where torch's own norm rounds on a CPU.
        self.mean, self.scale = mean.float(), ((squares.float() / count).double() + _EPSILON).rsqrt().float()
        self._pieces = []

    def _add_piece(self, count: int, mean: Tensor, squares: Tensor) -> None:
        self._pieces.append((count, mean, squares))
        if len(self._pieces) > _MOST_PIECES:
            self._merge()

    def _merge(self) -> None:
        counts = torch.tensor([count for count, _, _ in self._pieces], dtype=torch.float64)[:, None]
        # The first may be float64, having been merged before; then the stack is. To widen each takes longer.
        means = torch.stack([mean.cpu() for _, mean, _ in self._pieces]).double()
        within = torch.stack([squares.cpu() for _, _, squares in self._pieces]).double()
        count = counts.sum()
        mean = (counts * means).sum(0) / count
        squares = within.sum(0) + (counts * (means - mean).square()).sum(0)
        self._pieces = [(int(count), mean, squares)]


def _wide_moments(piece: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and sum of squared differences from it of each channel, of [pixels, C]."""
    # Apple's GPUs have no float64.
    wide = piece.to(torch.float32 if piece.device.type == "mps" else torch.float64)
    mean = wide.mean(0)
    return mean, (wide - mean).square_().sum(0)


class Normed:
    """A feature after its norm and activation.

    Attributes:
        moments: The statistics of instance norm, None where none are needed.
    """

    def __init__(
        self, source: Rows, norm: nn.Module | None, activation: Activation, moments: Moments | None = None
    ) -> None:
        """`moments` are those of `source`, gathered before the first rows are asked for."""
        self.shape = source.shape
        self.sources = (source,)
        self.held = source.held
        self.moments = moments
        self._source = source
        self._norm = norm
        self._activation = activation

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        raw = self._source.rows(start, stop)
        normed = raw
        if self.moments is not None:
            mean, scale = self.moments.mean.to(raw.device), self.moments.scale.to(raw.device)
            # Faster than four steps of arithmetic, and rounded once, like instance norm.
            one, zero = torch.ones_like(mean), torch.zeros_like(mean)
            normed = F.batch_norm(raw, mean, one, scale, zero, eps=0.0)
        elif isinstance(self._norm, nn.BatchNorm2d):
            normed = self._norm(raw)
        # In place where that does not change the source, which may be a view of what is stored.
        in_place = normed is not raw
        match self._activation:
            case "relu":
                return F.relu(normed, inplace=in_place)
            case "leaky":
                return F.leaky_relu(normed, 0.2, inplace=in_place)
            case None:
                return normed

    def working(self, count: int) -> int:
        """As in `Rows`."""
        return max(self._source.working(count), self.held + 2 * self.shape.bytes(count))


class Convolved:
    """A feature after a convolution, its borders mirrored or 0."""

    def __init__(self, source: Rows, layer: nn.Conv2d, dtype: torch.dtype, *, padding: int, mirrored: bool) -> None:
        """`dtype` is that of the arithmetic and of the result; `padding` in pixels on each side."""
        kernel, stride = layer.kernel_size[0], layer.stride[0]
        of = source.shape
        height, width = ((side + 2 * padding - kernel) // stride + 1 for side in (of.height, of.width))
        self.shape = Shape(layer.out_channels, height, width, dtype)
        self.sources = (source,)
        self._window = _Window(source, dtype, kept=kernel)
        self.held = self._window.held
        self._kernel, self._stride, self._padding, self._mirrored = kernel, stride, padding, mirrored
        # Zeros beside the strip are left to the convolution, which then rounds as it does for the whole picture.
        self._beside = padding if mirrored else 0
        self._weights = _Weights(layer, dtype)

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        if start == 0:
            self._window.restart()
        first = start * self._stride - self._padding
        last = (stop - 1) * self._stride - self._padding + self._kernel
        strip = self._window.rows(
            first, last, stop * self._stride - self._padding, beside=self._beside, mirrored=self._mirrored
        )
        weights = self._weights.of_pass(is_last=stop == self.shape.height)
        return F.conv2d(strip, *weights, stride=self._stride, padding=(0, self._padding - self._beside))

    def working(self, count: int) -> int:
        """As in `Rows`."""
        pulled = (count - 1) * self._stride + self._kernel
        out = self.shape.bytes(count)
        return self._window.working(pulled, beside=self._beside, result=out)


class Doubled:
    """A feature after a transposed convolution of stride 2, which doubles its sides."""

    def __init__(self, source: Rows, layer: nn.ConvTranspose2d, dtype: torch.dtype) -> None:
        """`dtype` is that of the arithmetic and of the result."""
        of = source.shape
        self.shape = Shape(layer.out_channels, 2 * of.height, 2 * of.width, dtype)
        self.sources = (source,)
        self._window = _Window(source, dtype, kept=2)
        self.held = self._window.held
        self._layer = layer
        self._kernel, self._padding = layer.kernel_size[0], int(layer.padding[0])
        self._weights = _Weights(layer, dtype)

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        if start == 0:
            self._window.restart()
        first, last = self._first(start), (stop - 1 + self._padding) // 2 + 1
        last = min(last, self.sources[0].shape.height)
        strip = self._window.rows(first, last, self._first(stop))
        result = F.conv_transpose2d(
            strip,
            *self._weights.of_pass(is_last=stop == self.shape.height),
            stride=2,
            padding=(0, self._padding),
            output_padding=(0, self._layer.output_padding[1]),
        )
        top = 2 * first - self._padding
        return result[:, :, start - top : stop - top]

    def working(self, count: int) -> int:
        """As in `Rows`."""
        pulled = count // 2 + 2
        return self._window.working(pulled, result=self.shape.bytes(2 * pulled + self._kernel))

    def _first(self, row: int) -> int:
        """The first row of the source that this row of the result depends on."""
        return max(0, math.ceil((row + self._padding - self._kernel + 1) / 2))


class Repeated:
    """A feature at twice its size, each pixel repeated."""

    def __init__(self, source: Rows) -> None:
        of = source.shape
        self.shape = Shape(of.channels, 2 * of.height, 2 * of.width, of.dtype)
        self.sources = (source,)
        self._window = _Window(source, of.dtype, kept=1)
        self.held = self._window.held

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        if start == 0:
            self._window.restart()
        first = start // 2
        strip = self._window.rows(first, (stop - 1) // 2 + 1, stop // 2)
        return F.interpolate(strip, scale_factor=2, mode="nearest")[:, :, start - 2 * first : stop - 2 * first]

    def working(self, count: int) -> int:
        """As in `Rows`."""
        pulled = count // 2 + 1
        return self._window.working(pulled, result=self.shape.bytes(2 * pulled))


class Summed:
    """The sum of two features of one shape."""

    def __init__(self, first: Rows, second: Rows) -> None:
        self.shape = first.shape
        self.sources = (first, second)
        self.held = first.held + second.held

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        first, second = self.sources
        return first.rows(start, stop) + second.rows(start, stop)

    def working(self, count: int) -> int:
        """As in `Rows`."""
        first, second = self.sources
        own = self.shape.bytes(count)
        return max(first.working(count) + second.held, first.held + own + second.working(count), self.held + 3 * own)


class Beside:
    """The channels of two features of one height and width, one's after the other's."""

    def __init__(self, first: Rows, second: Rows) -> None:
        of = first.shape
        self.shape = Shape(of.channels + second.shape.channels, of.height, of.width, of.dtype)
        self.sources = (first, second)
        self.held = first.held + second.held

    def rows(self, start: int, stop: int) -> Tensor:
        """As in `Rows`."""
        return torch.cat([source.rows(start, stop) for source in self.sources], 1)

    def working(self, count: int) -> int:
        """As in `Rows`."""
        first, second = self.sources
        of_first = first.shape.bytes(count)
        return max(
            first.working(count) + second.held,
            first.held + of_first + second.working(count),
            self.held + 2 * self.shape.bytes(count),
        )


class _Window:
    """Overlapping rows of a feature that is itself asked for each row only once in a pass."""

    def __init__(self, source: Rows, dtype: torch.dtype, *, kept: int) -> None:
        """`dtype` is what the rows are turned into, `kept` the most rows that are wanted again."""
        of = source.shape
        self._source = source
        self._dtype = dtype
        self._own = Shape(of.channels, of.height, of.width, dtype)
        self.held = source.held + self._own.bytes(kept)
        self.restart()

    def restart(self) -> None:
        """Begin a new pass."""
        self._kept = torch.empty(0)
        self._kept_from = 0
        self._next = 0

    def rows(self, first: int, last: int, then: int, *, beside: int = 0, mirrored: bool = False) -> Tensor:
        """Rows `first` to `last`, which may lie up to the padding outside of the feature.

        Args:
            first: The first row.
            last: The row after the last.
            then: What `first` will be next time.
            beside: Pixels to add to the left and to the right.
            mirrored: Whether what is added there and outside mirrors the feature; otherwise it is 0.

        Returns:
            [1, C, last - first, W + 2 beside], new.
        """
        of = self._source.shape
        top, bottom = max(0, -first), max(0, last - of.height)
        begin, end = first + top, last - bottom
        overlap = self._next - begin
        new = self._source.rows(self._next, end) if end > self._next else None
        size = (1, of.channels, last - first, of.width + 2 * beside)
        like = new if new is not None else self._kept
        strip = torch.empty(size, dtype=self._dtype, device=like.device, memory_format=torch.channels_last)
        inside = strip[:, :, top : top + end - begin, beside : beside + of.width]
        if overlap:
            inside[:, :, :overlap] = self._kept[:, :, begin - self._kept_from :]
        if new is not None:
            inside[:, :, overlap:] = new
        self._next, self._kept_from = end, max(0, then)
        self._kept = inside[:, :, self._kept_from - begin :].clone(memory_format=torch.channels_last)
        _fill_border(strip[:, :, top : top + end - begin], 3, beside, beside, mirrored=mirrored)
        _fill_border(strip, 2, top, bottom, mirrored=mirrored)
        return strip

    def working(self, pulled: int, *, beside: int = 0, result: int) -> int:
        """The most bytes taken at once.

        Args:
            pulled: Rows that are asked for.
            beside: As in `rows`.
            result: Bytes of what is made of these rows.
        """
        of = self._source.shape
        kept = self.held - self._source.held
        strip = self._own.bytes(pulled, wider=2 * beside)
        # What a source gives may be a part of up to 2 rows more.
        made = max(of.bytes(pulled + 2) + strip + kept, strip + result)
        return max(kept + self._source.working(pulled), self.held + made)


def _fill_border(strip: Tensor, dim: int, before: int, after: int, *, mirrored: bool) -> None:
    """Write the first and the last places of a dimension."""
    size = strip.shape[dim]
    for step in range(1, before + 1):
        place = strip.select(dim, before - step)
        place.copy_(strip.select(dim, before + step)) if mirrored else place.zero_()
    for step in range(1, after + 1):
        place = strip.select(dim, size - after - 1 + step)
        place.copy_(strip.select(dim, size - after - 1 - step)) if mirrored else place.zero_()


class _Weights:
    """Weight and bias of a layer in the arithmetic's precision, kept for the length of a pass."""

    def __init__(self, layer: nn.Conv2d | nn.ConvTranspose2d, dtype: torch.dtype) -> None:
        self._layer = layer
        self._dtype = dtype
        self._kept: tuple[Tensor, Tensor | None] | None = None

    def of_pass(self, *, is_last: bool) -> tuple[Tensor, Tensor | None]:
        """Both; `is_last` says that no strip of this pass follows."""
        layer, dtype = self._layer, self._dtype
        if self._kept is None:
            weight = layer.weight.to(dtype, memory_format=torch.channels_last)
            self._kept = weight, None if layer.bias is None else layer.bias.to(dtype)
        kept = self._kept
        if is_last:
            self._kept = None
        return kept


def _bytes_of(strip: Tensor) -> memoryview:
    """The memory of a contiguous strip."""
    values: npt.NDArray[np.uint8] = strip.view(torch.uint8).numpy().reshape(-1)
    return values.data
