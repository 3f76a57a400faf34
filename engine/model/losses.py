"""The losses, each under its equation. All are computed in at least fp32; float64 stays float64."""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional as F


def gan_loss(verdict: Tensor, *, real: bool) -> Tensor:
    """Least-squares adversarial loss (Eq. 1 with the squares of Sec. 4): mean (D(x) - 1)^2 or mean D(x)^2.

    Args:
        verdict: [B, 1, h, w], the discriminator's output.
        real: Whether the verdict should be 1 (real) or 0 (generated).

    Returns:
        A scalar, at least 0.
    """
    return (_widen(verdict) - float(real)).square().mean()


def cycle_loss(real: Tensor, rec: Tensor) -> Tensor:
    """Cycle-consistency loss (Eq. 2): mean |rec - real|, both [B, 3, H, W] in [-1, 1]. A scalar in [0, 2]."""
    return F.l1_loss(_widen(rec), _widen(real))


def identity_loss(real: Tensor, idt: Tensor) -> Tensor:
    """Identity loss (Sec. 5.2): mean |idt - real|, where idt_A = G_BA(real_A). A scalar in [0, 2]."""
    return F.l1_loss(_widen(idt), _widen(real))


def _widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
