"""One picture through a trained model, whatever its size: whole, streamed in strips, or by its change alone."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.config import Direction, Precision, Resize
from engine.conversion.large_picture import Needed, needed_memory, translate_streamed
from engine.conversion.model_file import ModelInfo
from engine.conversion.openvino_network import OpenvinoError, OpenvinoNetwork
from engine.data.images import scaled_frame
from engine.data.source_file import Frame, Pixels
from engine.device import (
    DTYPES,
    ChosenPrecision,
    autocast,
    available_memory,
    choose_precision,
    empty_caches,
    is_out_of_memory,
)
from engine.errors import ConfigError, PictureError
from engine.model.generator import AnyGenerator, make_generator, skipped
from engine.model.layers import features_format
from engine.model.picture_tensors import to_picture, to_tensor
from engine.ranks import local_rank_and_count
from engine.words import bytes_words

LEAST_SIDE = 8
"""Pixels a side that a generator needs: its reflections are wider than anything smaller."""

STREAMED_FROM_PIXELS = 500_000
"""From so many pixels a picture is streamed on a CPU, whose caches hold a strip but no whole layer.

CPU time in ms as a whole and in strips, the least of alternating runs, in bf16 on one thread. The paper's ResNet (9
blocks, 64 channels): at 128 x 128 51 and 94, 256 x 256 218 and 295, 512 x 512 847 and 1,016, 1024 x 1024 7,080 and
5,019; with 3 blocks and 32 channels: 27 and 51, 94 and 152, 364 and 417, 1,414 and 1,604, where strips are a little
slower still, but take a tenth of the memory. The paper's in fp32: 512 x 512 4,510 and 4,626.
"""

# What is free now may be wanted by somebody else in a moment.
_USABLE_SHARE = 0.8

MOST_TOGETHER = {"cuda": 8}
"""Pictures of one size that go through the layers of a kind of device at once; one by one elsewhere.

A GPU has too little to do with a small one, and what starts its kernels too much. On a CPU four bf16 pictures of 256 px
took as long as one after the other, and in fp32 5% longer.
"""

# Of a picture whose change is added in strips: a tensor of 3 channels in fp32, of which four are in use at once.
_STRIP_BYTES = 16_000_000

# Keys' cubic convolution (1981), with the constant that torch's and Pillow's bicubic filters do not share: torch's.
_CUBIC = -0.75


def _nothing() -> None:
    pass


class Translator:
    """A loaded generator and how its pictures are computed.

    Attributes:
        most_together: How many small pictures of one size are worth translating at once.
        precision: Arithmetic of the generator; pictures of 16 bits get fp32 unless another was asked for by name.
        engine: What translated the last picture, "OpenVINO" or "PyTorch".

    Args:
        generator: In eval mode and fp32, on `device`.
        info: Its story.
        direction: Which of the model's generators it is.
        device: Where it is.
        precision: As asked for; "auto" is decided here, with the threads that are set now.
        resize: As in `ConvertJob`. Only "change" matters here: everything else is done to the pictures beforehand.
        memory_gb: Memory that a translation may take, in GB (1e9 bytes); None for what is free.
        spill: A folder for what does not fit into memory.
        openvino: The same generator for pictures that go through it whole and in bf16; None for PyTorch.

    Raises:
        ConfigError: "change" without the long skip.
    """

    def __init__(
        self,
        generator: AnyGenerator,
        info: ModelInfo,
        *,
        direction: Direction,
        device: torch.device,
        precision: Precision,
        resize: Resize,
        memory_gb: float | None,
        spill: Path,
        openvino: OpenvinoNetwork | None = None,
    ) -> None:
        if resize == "change":
            require_long_skip(info)
        self.precision: ChosenPrecision = choose_precision(precision, device, info.architecture.generator)
        # bf16 has 8 bits, too few for a picture that has 16.
        self._deep_precision: ChosenPrecision = "fp32" if precision == "auto" else self.precision
        self._generator = generator.to(memory_format=features_format(device))
        self._generators: dict[ChosenPrecision, AnyGenerator] = {"fp32": self._generator}
        self._direction = direction
        self._info = info
        self._device = device
        self._change_only = resize == "change"
        self.most_together = 1 if self._change_only else MOST_TOGETHER.get(device.type, 1)
        self._memory_gb = memory_gb
        self._spill = spill
        self._openvino = openvino
        self.engine = "PyTorch"
        self._grey = info.architecture.channels_of("A" if direction == "a2b" else "B") == 1
        self._tick: Callable[[], None] = _nothing
        self._tick_before_layers(generator)

    def translate(self, name: str, pixels: Pixels, tick: Callable[[], None] = _nothing, *, depth: int = 8) -> Pixels:
        """[H, W, 3] uint8 or uint16 -> the same shape and type.

        The whole picture at once where the memory allows and strips are not faster, else streamed through the layers
        in strips, which gives the same; also after the memory has run out nevertheless.

        Args:
            name: Of the picture, for sentences.
            pixels: At least 1 x 1.
            tick: Called before each layer (by OpenVINO before each picture, on a GPU before some of the layers) and
                between strips; what it raises ends the translation.
            depth: Bits a channel that the result is to have; uint16 may also be 8 bits with a wide gamut's fractions.

        Raises:
            PictureError: Too little memory even so, or results that are no numbers.
            OSError: The disk refused what had to be spilled.
        """
        self._tick = tick
        self.engine = "PyTorch"
        precision = self._precision_for(depth)
        try:
            if self._change_only and max(pixels.shape[:2]) > self._info.size:
                return self._with_enlarged_change(name, pixels, precision)
            return self._at_its_size(name, pixels, precision)
        except FloatingPointError:
            remedy = "" if precision == "fp32" else " Convert it in fp32 (cyclegan convert --precision fp32)."
            raise PictureError(f"The model gave no valid result for {name}.{remedy}") from None
        except OpenvinoError as error:
            raise PictureError(f"OpenVINO could not convert {name} ({error}). Choose the engine PyTorch.") from error
        finally:
            self._tick = _nothing

    def together(self, pixels: Pixels, *, depth: int = 8) -> int:
        """How many pictures of this one's shape and type `translate_together` takes; 1 where one by one is as fast."""
        if self.most_together == 1:
            return 1
        height, width = pixels.shape[:2]
        whole = self._needed((width, height), self._precision_for(depth)).whole
        return max(1, min(self.most_together, self._allowed_memory() // whole))

    def translate_together(
        self, pictures: Sequence[Pixels], tick: Callable[[], None] = _nothing, *, depth: int = 8
    ) -> list[Pixels]:
        """Pictures of one shape and type, as many as `together` said -> what `translate` makes of each.

        That is within 1 level of 255, and in fp32 on a CPU within a few of 65,535.

        Raises:
            Exception: As `tick` raises it, and anything that went wrong with one of them, such as too little memory:
                none is translated then, and each is to be tried alone.
        """
        self._tick = tick
        self.engine = "PyTorch"
        try:
            return self._all_whole(pictures, self._precision_for(depth))
        finally:
            self._tick = _nothing

    def require_memory(self, name: str, size: tuple[int, int]) -> None:
        """Refuse a picture that even strips cannot fit into memory.

        Args:
            name: Of the picture, for the sentence.
            size: Its width and height in pixels.

        Raises:
            PictureError: With what is needed, what is there, and a size that fits.
        """
        if self._change_only:
            return
        allowed = self._allowed_memory()
        least = self._least_memory(size, self.precision)
        if least <= allowed:
            return
        remedy = "Close other programs."
        fitting = self._fitting_side(size, self.precision, allowed)
        if fitting >= LEAST_SIDE:
            remedy = (
                "Choose a smaller size: the training size, or a longest side of "
                f"{fitting} px (--resize training, --resize {fitting})."
            )
        there = f"{bytes_words(allowed)} are free" if self._memory_gb is None else f"it may take {bytes_words(allowed)}"
        raise PictureError(
            f"{name} is too large: {size[0]} x {size[1]} pixels need at least {bytes_words(least)} of memory, {there}. "
            f"{remedy}"
        )

    # Whole and streamed

    def _at_its_size(self, name: str, pixels: Pixels, precision: ChosenPrecision) -> Pixels:
        height, width = pixels.shape[:2]
        needed, allowed = self._needed((width, height), precision), self._allowed_memory()
        is_faster_in_strips = self._device.type == "cpu" and width * height >= STREAMED_FROM_PIXELS
        if needed.whole <= allowed and not (is_faster_in_strips and needed.least <= allowed):
            try:
                return self._whole(pixels, precision)
            except (MemoryError, RuntimeError) as error:
                if not is_out_of_memory(error):
                    raise
            # Only here is the failed attempt's memory free again: the traceback held on to it.
            empty_caches(self._device)
        self.require_memory(name, (width, height))
        try:
            return translate_streamed(
                self._generator_in(precision),
                pixels,
                device=self._device,
                precision=precision,
                grey=self._grey,
                memory=self._allowed_memory(),
                spill=self._spill,
                tick=self._tick,
            )
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        empty_caches(self._device)
        raise PictureError(
            f"The memory ran out for {name} ({width} x {height} pixels). "
            "Choose a smaller size, such as the training size (--resize training), or close other programs."
        )

    def _whole(self, pixels: Pixels, precision: ChosenPrecision) -> Pixels:
        return self._all_whole([pixels], precision)[0]

    @torch.inference_mode()
    def _all_whole(self, pictures: Sequence[Pixels], precision: ChosenPrecision) -> list[Pixels]:
        height, width = pictures[0].shape[:2]
        tensors = [self._padded_tensor(pixels) for pixels in pictures]
        if self._openvino is not None and precision == "bf16":
            results = torch.cat([self._by_openvino(self._openvino, tensor) for tensor in tensors])
        else:
            batch = torch.cat(tensors).contiguous(memory_format=features_format(self._device))
            with autocast(self._device, precision):
                results = self._generator_in(precision)(batch)
        results = results[..., :height, :width]
        return [to_picture(result, bits=_bits(pictures[0])) for result in torch.split(_finite(results), 1)]

    def _by_openvino(self, network: OpenvinoNetwork, picture: Tensor) -> Tensor:
        change = self._change_by(network, picture)
        return torch.tanh(change + skipped(picture, change.shape[1]) if self._generator.long_skip else change)

    def _change_by(self, network: OpenvinoNetwork, picture: Tensor) -> Tensor:
        change = network.change(picture, self._tick)
        self.engine = "OpenVINO"
        return change

    # The change alone

    @torch.inference_mode()
    def _with_enlarged_change(self, name: str, pixels: Pixels, precision: ChosenPrecision) -> Pixels:
        """tanh(atanh(0.9 x) + up(f(x at the training size))), strip by strip."""
        height, width = pixels.shape[:2]
        small = scaled_frame(Frame(pixels), self._info.size).pixels
        change = self._small_change(name, small, precision)
        # Across first: that is little, and leaves the strips to differ in their rows only.
        wide = F.interpolate(change, size=(change.shape[2], width), mode="bicubic", align_corners=False)[0]
        result = np.empty_like(pixels, order="C", subok=False)
        rows = max(1, _STRIP_BYTES // (12 * width))
        for top in range(0, height, rows):
            self._tick()
            strip = to_tensor(pixels[top : top + rows], self._device, grey=self._grey)
            enlarged = _enlarged_rows(wide, top, min(top + rows, height), height)
            translated = torch.tanh(skipped(strip, len(wide)) + enlarged)
            result[top : top + rows] = to_picture(_finite(translated), bits=_bits(pixels))
        return result

    def _small_change(self, name: str, small: Pixels, precision: ChosenPrecision) -> Tensor:
        """[1, D, h, w] in fp32."""
        height, width = small.shape[:2]
        try:
            padded = self._padded_tensor(small)
            if self._openvino is not None and precision == "bf16":
                return self._change_by(self._openvino, padded)[..., :height, :width]
            with autocast(self._device, precision):
                return self._generator_in(precision).change(padded)[..., :height, :width]
        except (MemoryError, RuntimeError) as error:
            if not is_out_of_memory(error):
                raise
        empty_caches(self._device)
        raise PictureError(
            f"The memory ran out for {name}, though its change is computed at the training size only. "
            "Close other programs."
        )

    # What both need

    def _precision_for(self, depth: int) -> ChosenPrecision:
        return self._deep_precision if depth > 8 else self.precision

    def _generator_in(self, precision: ChosenPrecision) -> AnyGenerator:
        """The generator, its convolutions with the weights that autocast would make of them for each picture.

        Batch norms keep theirs.
        """
        if precision not in self._generators:
            with torch.device("meta"):
                converted = make_generator(self._info.architecture, self._direction)
            weights = self._generator.state_dict()
            for name, layer in self._generator.named_modules():
                if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                    for key in layer.state_dict():
                        weights[f"{name}.{key}"] = weights[f"{name}.{key}"].to(DTYPES[precision])
            converted.load_state_dict(weights, assign=True)
            self._tick_before_layers(converted.eval().requires_grad_(False))
            self._generators[precision] = converted
        return self._generators[precision]

    def _tick_before_layers(self, generator: AnyGenerator) -> None:
        for layer in generator.modules():
            layer.register_forward_pre_hook(self._before_layer)

    def _padded_tensor(self, pixels: Pixels) -> Tensor:
        """With sides that the generator can take, by repeating the last row and column."""
        height, width = pixels.shape[:2]
        padding = ((0, self._padding(height)), (0, self._padding(width)), (0, 0))
        padded: Any = np.pad(pixels, padding, mode="edge")
        return to_tensor(padded, self._device, grey=self._grey)

    def _padding(self, side: int) -> int:
        """Pixels to add to a side for the generator."""
        multiple = self._info.architecture.multiple
        return max(LEAST_SIDE, math.ceil(side / multiple) * multiple) - side

    def _allowed_memory(self) -> int:
        """Bytes that a translation may take now.

        Processes on one machine share its memory, but each has a GPU.
        """
        if self._memory_gb is not None:
            return int(self._memory_gb * 1e9)
        sharing = 1 if self._device.type == "cuda" else local_rank_and_count()[1]
        return int(_USABLE_SHARE * available_memory(self._device)) // sharing

    def _needed(self, size: tuple[int, int], precision: ChosenPrecision) -> Needed:
        return needed_memory(self._info.architecture, *size, precision, on_gpu=self._device.type == "cuda")

    def _least_memory(self, size: tuple[int, int], precision: ChosenPrecision) -> int:
        needed = self._needed(size, precision)
        return min(needed.whole, needed.least)  # Strips of a small picture have more around them than in them.

    def _fitting_side(self, size: tuple[int, int], precision: ChosenPrecision, allowed: int) -> int:
        """The longest side in pixels to which a picture must be scaled down to fit; 0 if none does."""
        low, high = 0, max(size)
        while high - low > 1:
            middle = (low + high) // 2
            scaled = (max(1, size[0] * middle // max(size)), max(1, size[1] * middle // max(size)))
            fits = self._least_memory(scaled, precision) <= allowed
            low, high = (middle, high) if fits else (low, middle)
        return low // 100 * 100 if low > 100 else low

    def _before_layer(self, *_: object) -> None:
        self._tick()


def require_long_skip(info: ModelInfo) -> None:
    """See that a model predicts a change of its pictures, which can be computed at another size than theirs.

    Raises:
        ConfigError: It does not, beside the field "resize".
    """
    if not info.architecture.long_skip:
        raise ConfigError(
            "resize",
            f"{info.path.name} predicts whole pictures, not changes of them (it has no long skip), so its change alone "
            "cannot be enlarged. Choose the original size or the training size.",
        )


def _finite(result: Tensor) -> Tensor:
    if not torch.isfinite(result).all():
        raise FloatingPointError
    return result


def _bits(pixels: Pixels) -> int:
    return 8 * pixels.dtype.itemsize


def _enlarged_rows(picture: Tensor, top: int, bottom: int, height: int) -> Tensor:
    """Rows `top` to `bottom` of what F.interpolate(mode="bicubic") makes of [C, h, W] when `height` rows are wished.

    Returns:
        [1, C, bottom - top, W].
    """
    rows = picture.shape[1]
    # In double: a float has too few digits to tell rows 9,999 and 10,000 well apart.
    wished = torch.arange(top, bottom, device="cpu", dtype=torch.float64)
    place = (wished + 0.5) * (rows / height) - 0.5
    above = place.floor()
    result = torch.zeros(picture.shape[0], bottom - top, picture.shape[2], device=picture.device)
    for step in range(-1, 3):
        weight = _cubic_weight((place - above - step).abs()).to(picture)
        taken = (above.long() + step).clamp(0, rows - 1).to(picture.device)
        result.addcmul_(picture.index_select(1, taken), weight[:, None])
    return result[None]


def _cubic_weight(distance: Tensor) -> Tensor:
    near = ((_CUBIC + 2) * distance - (_CUBIC + 3)) * distance * distance + 1
    far = ((_CUBIC * distance - 5 * _CUBIC) * distance + 8 * _CUBIC) * distance - 4 * _CUBIC
    return torch.where(distance <= 1, near, torch.where(distance < 2, far, 0.0))
