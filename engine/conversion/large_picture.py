"""Pictures larger than memory, translated exactly: layer by layer, each in strips of rows.

Instance norm needs the statistics of the whole picture, so tiles that are translated by themselves differ in colour.
Here a layer is computed for all of the picture, strip by strip, before the next one begins: a pass over the picture
gathers the statistics of one norm. What later passes need again is kept in memory, or in a file where that is full, and
what is cheap, which are the first and the last layers at the picture's full size, is computed again in each pass.
"""

from __future__ import annotations

import dataclasses
import errno
import math
import shutil
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

import numpy as np
import torch
from torch import nn

from engine.conversion.strips import (
    Activation,
    Beside,
    Convolved,
    Doubled,
    Moments,
    Normed,
    PictureRows,
    Repeated,
    Rows,
    Stored,
    Summed,
)
from engine.data.source_file import Pixels
from engine.device import DTYPES, ChosenPrecision, all_threads, available_memory
from engine.model.architecture import Architecture, GeneratorKind
from engine.model.generator import (
    AnyGenerator,
    Generator,
    ResidualBlock,
    ResizeConv,
    UnetGenerator,
    UnetLevel,
    make_generator,
    skipped,
)
from engine.model.gpu_layers import patch_values
from engine.model.layers import InstanceNorm
from engine.model.picture_tensors import to_picture

LEAST_SIDE = 8
"""Pixels a side that a generator needs: its reflections are wider than anything smaller."""


# Higher strips are not faster on a CPU, whose caches they leave.
_MOST_STRIP_BYTES = 64_000_000

# Measured on a CPU: what a process takes for each byte of its strips' tensors, because its heap has gaps and each shape
# of a convolution has memory of its own; it was up to 5.
_HEAP_FACTOR = 6

# And what it takes besides: the code that is made for convolutions, and pieces of statistics.
_LIBRARY_BYTES = 150_000_000

# Of a GPU's memory, the rest being for what its libraries take beside the tensors.
_STRIP_SHARE_ON_GPU = 0.5

# Measured for the ordinary way: bytes a pixel of the picture itself, as bytes, as a tensor and as the result ...
_WHOLE_BYTES = 48

# ... and of a generator's layers for each channel of the first. Of a ResNet in fp32 908 for 64 channels, 460 for 32,
# 236 for 16; of a U-Net 325, 229 and 147.
_WHOLE_BYTES_PER_CHANNEL: dict[GeneratorKind, float] = {"resnet": 14.5, "unet": 6.5}

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

# A weight as the arithmetic wants it, and once more in the order that the library wants.
_WEIGHT_COPIES = 3

# From so many pixels a translation in bf16 takes every core: it needs seconds, in which a batch's other pictures wait
# for it anyway, and has come out the same with any number of threads. In fp32 some bits differ by it.
_ALL_THREADS_FROM_PIXELS = 1_000_000

# The last strip of all in bytes a pixel: its change, what is skipped, their sum, and the levels made of it.
_PAINTING_BYTES = 100


class CeilingTooLowError(MemoryError):
    """Not even the lowest strips fit under the ceiling.

    Attributes:
        needed: The smallest ceiling in bytes.
        ceiling: The one that was given.
    """

    def __init__(self, needed: int, ceiling: int) -> None:
        super().__init__(f"strips of a single row need {needed} bytes, {ceiling} are allowed")
        self.needed = needed
        self.ceiling = ceiling


class SpillSpaceError(OSError):
    """The disk has too little room for what does not fit under the ceiling; `errno` is ENOSPC.

    Attributes:
        needed: Bytes that would be there at once.
        free: Bytes that are free.
    """

    def __init__(self, needed: int, free: int, folder: Path) -> None:
        super().__init__(errno.ENOSPC, f"{needed} bytes are needed, {free} are free", str(folder))
        self.needed = needed
        self.free = free


@dataclass(frozen=True, slots=True)
class Needed:
    """What the translation of a picture takes, in bytes, beyond the picture and its result.

    Attributes:
        whole: Memory of the ordinary way, all of the picture at once.
        least: The smallest ceiling that strips can keep.
        stored: What is kept from pass to pass at once, in memory or on disk.
    """

    whole: int
    least: int
    stored: int
    _plan: _Plan

    def disk(self, memory: int) -> int:
        """How much of `stored` is on disk under a ceiling, for a generator on the CPU."""
        return self._plan.place(self._plan.room_beside_strips(memory)).disk


def translate_streamed(
    generator: AnyGenerator,
    pixels: Pixels,
    *,
    device: torch.device,
    precision: ChosenPrecision,
    grey: bool,
    memory: int,
    spill: Path,
    tick: Callable[[], None],
) -> Pixels:
    """Translate a picture in strips, with the same result as all at once but for rounding.

    Args:
        generator: In eval mode and fp32, on `device`.
        pixels: [H, W, 3], uint8 or uint16, any size; also one that is mapped from a file.
        device: Where strips are computed.
        precision: Arithmetic of the convolutions, and of what is kept between passes.
        grey: Whether the generator takes one channel.
        memory: Most bytes that may be taken beyond `pixels`, the result and the generator: on the CPU for everything;
            on another device for its strips, while what is kept between passes is in the machine's own memory, as far
            as that has room.
        spill: A folder for what has no room in memory. Files in it have no names and vanish by themselves.
        tick: Called before each strip; what it raises ends the work.

    Returns:
        Of the shape and type of `pixels`.

    Raises:
        CeilingTooLowError: A MemoryError: `memory` is less than `needed_memory().least`.
        SpillSpaceError: An OSError: there is too little room in `spill`, seen before the start.
        OSError: The disk failed, or became full meanwhile.
        FloatingPointError: Results that are no numbers.
    """
    plan = _Plan(generator, pixels, device, precision, grey=grey)
    if memory < plan.least:
        raise CeilingTooLowError(plan.least, memory)
    if device.type == "cpu":
        strip_bytes = plan.strip_bytes(memory)
        placement = plan.place(plan.room_beside_strips(memory))
    else:
        strip_bytes = int(_STRIP_SHARE_ON_GPU * memory)
        # To compute again what is cheap is faster there than to fetch it.
        room = int(_USABLE_SHARE * available_memory(torch.device("cpu")))
        placement = plan.place(room, only_necessary=True)
    free = shutil.disk_usage(spill).free if placement.disk else 0
    if placement.disk > free:
        raise SpillSpaceError(placement.disk, free, spill)
    result = np.empty(pixels.shape, pixels.dtype)
    threads = torch.get_num_threads()
    is_large = pixels.shape[0] * pixels.shape[1] >= _ALL_THREADS_FROM_PIXELS
    if device.type == "cpu" and precision == "bf16" and is_large:
        torch.set_num_threads(max(threads, all_threads()))
    try:
        with torch.inference_mode():
            for number, one in enumerate(plan.passes):
                placement.begin(number, spill)
                one.run(plan.most_rows(one.working, one.feature.shape.height, strip_bytes), tick)
                placement.end(number)
            plan.paint(result, strip_bytes, tick)
    finally:
        torch.set_num_threads(threads)
        placement.release()
    return result


@lru_cache(maxsize=64)
def needed_memory(
    architecture: Architecture, width: int, height: int, precision: ChosenPrecision, *, on_gpu: bool = False
) -> Needed:
    """What a picture of that size takes, without translating it.

    Args:
        architecture: Of the generator.
        width: In pixels, at least 1.
        height: In pixels, at least 1.
        precision: Arithmetic of the convolutions.
        on_gpu: Whether an NVIDIA GPU computes it, whose convolutions from and to pictures gather patches.
    """
    # In colour, which is never less; and without a byte of weights or pixels.
    colour = dataclasses.replace(architecture, grey_A=False, grey_B=False)
    with torch.device("meta"):
        generator = make_generator(colour, "a2b")
    pixels = np.broadcast_to(np.zeros((), np.uint8), (height, width, 3))
    plan = _Plan(generator, pixels, torch.device("cpu"), precision, grey=False)
    of = plan.picture.shape
    each = _WHOLE_BYTES + _WHOLE_BYTES_PER_CHANNEL[architecture.generator] * architecture.channels
    if on_gpu:
        patches = max(map(patch_values, generator.modules()))
        each = max(each, _WHOLE_BYTES + (patches + architecture.channels) * DTYPES[precision].itemsize)
    stored = plan.place(0).disk
    return Needed(round(each * of.height * of.width), plan.least, stored, plan)


class _Pass:
    """One walk over a feature from its first row to its last.

    Attributes:
        feature: What is computed.
        into: Where it is stored; this may be what it is computed from, of which no row is read after it was written.
        moments: What gathers its statistics.
    """

    def __init__(self, feature: Rows, *, into: Stored | None = None, moments: Moments | None = None) -> None:
        self.feature = feature
        self.into = into
        self.moments = moments

    def working(self, count: int) -> int:
        """The most bytes taken at once by strips of `count` rows."""
        return self.feature.working(count)

    def run(self, count: int, tick: Callable[[], None]) -> None:
        """Walk in strips of `count` rows."""
        for start, stop in _strips(self.feature.shape.height, count):
            tick()
            strip = self.feature.rows(start, stop)
            if self.moments is not None:
                self.moments.add(strip)
            if self.into is not None:
                self.into.write(start, strip)
        if self.moments is not None:
            self.moments.finish()


class _Plan:
    """A generator and a picture as passes.

    Attributes:
        picture: The picture.
        passes: All but the last, in their order; features refer to what earlier passes have stored and gathered.
        least: The smallest ceiling in bytes that strips can keep.
    """

    def __init__(
        self, generator: AnyGenerator, pixels: Pixels, device: torch.device, precision: ChosenPrecision, *, grey: bool
    ) -> None:
        multiple = _multiple(generator)
        height, width = (max(LEAST_SIDE, math.ceil(side / multiple) * multiple) for side in pixels.shape[:2])
        self.picture = PictureRows(pixels, height, width, device, grey=grey)
        self.passes: list[_Pass] = []
        self._long_skip = generator.long_skip
        layers = _Layers(self.passes, device, DTYPES[precision])
        if isinstance(generator, Generator):
            self._change = layers.resnet(generator, self.picture)
        else:
            self._change = layers.unet(generator, self.picture)
        largest = max(weight.numel() for weight in generator.parameters())
        self._always = _LIBRARY_BYTES + _WEIGHT_COPIES * 4 * largest
        self._least_strips = max(self._working(1), *(one.working(1) for one in self.passes))
        self.least = self._always + _HEAP_FACTOR * self._least_strips

    def strip_bytes(self, memory: int) -> int:
        """How large the tensors of strips may be together under a ceiling, on a CPU."""
        return min((memory - self._always) // _HEAP_FACTOR, max(self._least_strips, _MOST_STRIP_BYTES))

    def room_beside_strips(self, memory: int) -> int:
        """What of a ceiling is left for what is stored, on a CPU."""
        return memory - self._always - _HEAP_FACTOR * self.strip_bytes(memory)

    def most_rows(self, working: Callable[[int], int], height: int, memory: int) -> int:
        """The highest strips that fit."""
        low, high = 1, height + 1
        while high - low > 1:
            middle = (low + high) // 2
            low, high = (middle, high) if working(middle) <= memory else (low, middle)
        return low

    def place(self, room: int, *, only_necessary: bool = False) -> _Placement:
        """Decide what is kept in memory, as much as fits into `room` bytes, and what on disk."""
        return _Placement(self.passes, self._change, room, only_necessary=only_necessary)

    def paint(self, result: Pixels, memory: int, tick: Callable[[], None]) -> None:
        """The last pass: write the result, [H, W, 3].

        Raises:
            FloatingPointError: It is no number somewhere.
        """
        height, width = result.shape[:2]
        of = self._change.shape
        for start, stop in _strips(height, self.most_rows(self._working, height, memory)):
            tick()
            change = self._change.rows(start, stop).float()
            if self._long_skip:
                change = change + skipped(self.picture.rows(start, stop), of.channels)
            translated = torch.tanh(change)[..., :width]
            if not torch.isfinite(translated).all():
                raise FloatingPointError
            result[start:stop] = to_picture(translated, bits=8 * result.dtype.itemsize)

    def _working(self, count: int) -> int:
        painting = _PAINTING_BYTES * count * self._change.shape.width
        return max(self._change.working(count), self._change.held + painting)


class _Layers:
    """Appends the passes that a generator needs to a list."""

    def __init__(self, passes: list[_Pass], device: torch.device, dtype: torch.dtype) -> None:
        self._passes = passes
        self._device = device
        self._dtype = dtype

    def resnet(self, generator: Generator, picture: Rows) -> Rows:
        """The picture's change, before any tanh."""
        layers = list(generator.model)
        x: Rows = picture
        raw: Rows
        for place in (1, 4):
            raw = self._convolved(x, layers[place], padding=3 if place == 1 else 1, mirrored=place == 1)
            x = self._normed(raw, layers[place + 1], "relu", into=self._if_there_is_room(raw))
        # Two buffers are enough: x, and one for what a block makes of it, which each convolution writes over.
        raw = self._convolved(x, layers[7], padding=1)
        stored, of_block = Stored(raw.shape, self._device), Stored(raw.shape, self._device)
        x = self._normed(raw, layers[8], "relu", into=stored)
        for block in (layer for layer in layers if isinstance(layer, ResidualBlock)):
            _, conv1, norm1, _, *_, conv2, norm2 = block.conv_block
            raw = self._convolved(x, conv1, padding=1, mirrored=True)
            change = self._normed(raw, norm1, "relu", into=of_block)
            raw = self._convolved(change, conv2, padding=1, mirrored=True)
            change = self._normed(raw, norm2, None, into=of_block)
            self._passes.append(_Pass(Summed(x, change), into=stored))
            x = stored
        for place in (-8, -5):
            raw = self._doubled(x, layers[place])
            x = self._normed(raw, layers[place + 1], "relu", into=self._if_there_is_room(raw))
        return self._convolved(x, layers[-1], padding=3, mirrored=True)

    def _if_there_is_room(self, raw: Rows) -> Stored:
        return Stored(raw.shape, self._device, instead=raw)

    def unet(self, generator: UnetGenerator, picture: Rows) -> Rows:
        """The picture's change, before any tanh."""
        halve, level, _, double = generator.model.model
        # Computed again in each pass: it comes from the picture alone, and would be half of all that is stored.
        outer = self._convolved(picture, halve, padding=1)
        down, skip = Normed(outer, None, "leaky"), Normed(outer, None, "relu")
        return self._doubled(Beside(skip, self._unet_level(level, down)), double)

    def _unet_level(self, level: nn.Module, x: Rows) -> Rows:
        """What a level makes of its input, which is after its LeakyReLU; after a ReLU, without what it joins to it."""
        _, halve, *inside, _, double, norm = (layer for layer in _layers(level) if not isinstance(layer, nn.Dropout))
        raw: Rows = self._convolved(x, halve, padding=1)
        stored = Stored(raw.shape, self._device)
        if inside:
            down = self._normed(raw, inside[0], "leaky", into=stored)
            skip = Normed(stored, inside[0], "relu", down.moments)
            x = Beside(skip, self._unet_level(inside[1], down))
        else:
            x = self._normed(raw, None, "relu", into=stored)
        raw = self._doubled(x, double)
        return self._normed(raw, norm, "relu", into=Stored(raw.shape, self._device))

    def _normed(self, raw: Rows, norm: nn.Module | None, activation: Activation, *, into: Stored) -> Normed:
        """Store a layer's result, which is normalised and activated whenever it is read."""
        moments = Moments() if isinstance(norm, InstanceNorm) else None
        if moments is None and not into.is_necessary:
            return Normed(raw, norm, activation)
        self._passes.append(_Pass(raw, into=into, moments=moments))
        return Normed(into, norm, activation, moments)

    def _convolved(self, x: Rows, layer: nn.Module, *, padding: int, mirrored: bool = False) -> Convolved:
        assert isinstance(layer, nn.Conv2d)
        return Convolved(x, layer, self._dtype, padding=padding, mirrored=mirrored)

    def _doubled(self, x: Rows, layer: nn.Module) -> Rows:
        if isinstance(layer, ResizeConv):
            return self._convolved(Repeated(x), layer, padding=1, mirrored=True)
        assert isinstance(layer, nn.ConvTranspose2d)
        return Doubled(x, layer, self._dtype)


class _Placement:
    """Where each stored feature is, from the pass that writes it to the last one that reads it.

    Attributes:
        disk: Bytes on disk at once at most.
    """

    def __init__(self, passes: Sequence[_Pass], last: Rows, room: int, *, only_necessary: bool) -> None:
        """`last` is what the last pass reads, which stores nothing; `room` is memory in bytes."""
        lives: dict[Stored, range] = {}
        for number in range(len(passes) + 1):
            used = set(_stored_below(passes[number].feature if number < len(passes) else last))
            if number < len(passes) and (into := passes[number].into) is not None:
                used.add(into)
            for stored in used:
                lives[stored] = range(lives[stored].start if stored in lives else number, number + 1)
        in_memory, on_disk = ([0] * (len(passes) + 1) for _ in range(2))
        self._begins: dict[int, list[tuple[Stored, bool]]] = {}
        self._ends: dict[int, list[Stored]] = {}
        for stored, life in sorted(lives.items(), key=lambda item: (not item[0].is_necessary, item[0].size)):
            fits = max(in_memory[number] for number in life) + stored.size <= room
            if not stored.is_necessary and (only_necessary or not fits):
                continue
            for number in life:
                (in_memory if fits else on_disk)[number] += stored.size
            self._begins.setdefault(life.start, []).append((stored, fits))
            self._ends.setdefault(life.stop - 1, []).append(stored)
        self.disk = max(on_disk)

    def begin(self, number: int, spill: Path) -> None:
        """Make room for what this pass is the first to write."""
        for stored, is_in_memory in self._begins.get(number, ()):
            if is_in_memory:
                stored.keep_in_memory()
            else:
                stored.keep_in_file(spill)

    def end(self, number: int) -> None:
        """Release what no later pass reads."""
        for stored in self._ends.get(number, ()):
            stored.release()

    def release(self) -> None:
        """Release everything."""
        for number in self._ends:
            self.end(number)


def _stored_below(feature: Rows) -> Iterator[Stored]:
    """All stored features that rows of this one may be made from."""
    if isinstance(feature, Stored):
        yield feature
    for source in feature.sources:
        yield from _stored_below(source)


def _strips(height: int, count: int) -> Iterator[tuple[int, int]]:
    """First row and the row after the last of each strip of `count` rows."""
    return ((start, min(start + count, height)) for start in range(0, height, count))


def _layers(level: nn.Module) -> list[nn.Module]:
    assert isinstance(level, UnetLevel)
    return list(level.model)


def _multiple(generator: AnyGenerator) -> int:
    """Sides that this generator takes are multiples of this."""
    if isinstance(generator, Generator):
        return 4
    return 1 << sum(isinstance(layer, nn.Conv2d) for layer in generator.modules())
