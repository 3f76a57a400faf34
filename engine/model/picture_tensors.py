"""Pictures to tensors and back: [H, W, 3] of 8 or 16 bits <-> [B, C, H, W] in [-1, 1]; C is 1 in a grey domain."""

from __future__ import annotations

from typing import overload

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.data.source_file import Pixels
from engine.events import Picture

_LUMA_WEIGHTS = (19595, 38470, 7471)
"""Of red, green and blue, over 65536: Pillow's own (ITU-R BT.601), which it rounds to whole levels of 8 bits."""


def to_tensor(picture: Pixels, device: torch.device, *, grey: bool = False) -> Tensor:
    """[H, W, 3] uint8 or uint16 -> [1, 3, H, W] float32 in [-1, 1] on `device`; [1, 1, H, W], its luma, if `grey`."""
    if picture.dtype == np.uint16:
        return _to_tensor_16(picture, device, grey=grey)
    levels = np.asarray(Image.fromarray(picture).convert("L"))[..., None] if grey else picture
    return unit_range(torch.tensor(levels).to(device).permute(2, 0, 1)[None])


def unit_range(pictures: Tensor) -> Tensor:
    """0..255 of any dtype -> [-1, 1] float32, contiguous and new."""
    return pictures.to(torch.float32, memory_format=torch.contiguous_format, copy=True).div_(127.5).sub_(1)


@overload
def to_picture(tensor: Tensor) -> Picture: ...
@overload
def to_picture(tensor: Tensor, *, bits: int) -> Pixels: ...
def to_picture(tensor: Tensor, *, bits: int = 8) -> Pixels:
    """[1, C, H, W] in [-1, 1] -> [H, W, 3] uint8, or uint16 for 16 `bits`.

    Rounded: the reference truncates, which darkens by half a level. One channel comes back as three equal ones.
    """
    largest, dtype = (255, torch.uint8) if bits == 8 else (65535, torch.uint16)
    levels = tensor[0].float().add(1).mul_(largest / 2).round_().clamp_(0, largest)
    if bits == 8:
        return levels.to(dtype).expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()
    # torch's uint16 is there to be converted and little else.
    return levels.cpu().to(dtype).numpy().transpose(1, 2, 0).repeat(3 // len(levels), 2)


def _to_tensor_16(picture: Pixels, device: torch.device, *, grey: bool) -> Tensor:
    levels = np.moveaxis(picture, 2, 0)
    if grey:
        luma = np.zeros((1, *levels.shape[1:]), np.float32)
        for weight, channel in zip(_LUMA_WEIGHTS, levels, strict=True):
            luma += np.float32(weight / 65536) * channel
        levels = luma
    # Always a copy, of which torch may make what it likes.
    return torch.from_numpy(levels.astype(np.float32, order="C"))[None].to(device).div_(32767.5).sub_(1)
