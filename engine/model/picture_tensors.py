"""Pictures to tensors and back: [H, W, 3] uint8 <-> [B, 3, H, W] in [-1, 1]."""

from __future__ import annotations

import torch
from torch import Tensor

from engine.events import Picture


def to_tensor(picture: Picture, device: torch.device) -> Tensor:
    """[H, W, 3] uint8 -> [1, 3, H, W] float32 in [-1, 1] on `device`."""
    return unit_range(torch.tensor(picture).to(device).permute(2, 0, 1)[None])


def unit_range(pictures: Tensor) -> Tensor:
    """0..255 of any dtype -> [-1, 1] float32, contiguous."""
    return pictures.to(torch.float32, memory_format=torch.contiguous_format).div_(127.5).sub_(1)


def to_picture(tensor: Tensor) -> Picture:
    """[1, 3, H, W] in [-1, 1] -> [H, W, 3] uint8, rounded (the reference truncates, which darkens by half a level)."""
    levels = tensor[0].float().add(1).mul(127.5).round().clamp(0, 255)
    picture: Picture = levels.to(torch.uint8).permute(1, 2, 0).contiguous().cpu().numpy()
    return picture
