"""Pictures to tensors and back: [H, W, 3] uint8 <-> [B, C, H, W] in [-1, 1]; C is 1 in a grey domain, else 3."""

from __future__ import annotations

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from engine.events import Picture


def to_tensor(picture: Picture, device: torch.device, *, grey: bool = False) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32 in [-1, 1] on `device`; [1, 1, H, W], its luma, if `grey`."""
    levels = np.asarray(Image.fromarray(picture).convert("L"))[..., None] if grey else picture
    return unit_range(torch.tensor(levels).to(device).permute(2, 0, 1)[None])


def unit_range(pictures: Tensor) -> Tensor:
    """0..255 of any dtype -> [-1, 1] float32, contiguous and new."""
    return pictures.to(torch.float32, memory_format=torch.contiguous_format, copy=True).div_(127.5).sub_(1)


def to_picture(tensor: Tensor) -> Picture:
    """[1, C, H, W] in [-1, 1] -> [H, W, 3] uint8, rounded (the reference truncates, which darkens by half a level).

    One channel comes back as three equal ones.
    """
    levels = tensor[0].float().add(1).mul(127.5).round().clamp(0, 255)
    picture: Picture = levels.to(torch.uint8).expand(3, -1, -1).permute(1, 2, 0).contiguous().cpu().numpy()
    return picture
