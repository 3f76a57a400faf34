"""The losses, each under its equation. All are computed in at least fp32; float64 stays float64."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import torch
from torch import Tensor
from torch.nn import functional as F

from engine.config import AdversarialLoss


def gan_loss(verdict: Tensor, *, real: bool, kind: AdversarialLoss = "lsgan") -> Tensor:
    """What a discriminator loses by its verdict on real or on generated pictures (Eq. 1).

    "lsgan" (the least squares of Sec. 4): mean (D(x) - 1)^2 for real ones, mean D(x)^2 for generated ones.
    "vanilla" (Eq. 1 as it stands, D(x) being the sigmoid of the verdict): mean -log D(x), mean -log(1 - D(x)).
    "hinge" (Lim and Ye 2017): mean max(0, 1 - D(x)), mean max(0, 1 + D(x)).

    Args:
        verdict: [B, 1, h, w], the discriminator's output, unbounded.
        real: Whether the pictures are real.
        kind: Which loss.

    Returns:
        A scalar, at least 0.
    """
    verdict = _widen(verdict)
    match kind:
        case "lsgan":
            return (verdict - float(real)).square().mean()
        case "vanilla":
            return F.binary_cross_entropy_with_logits(verdict, torch.full_like(verdict, float(real)))
        case "hinge":
            return torch.relu(1 - verdict if real else 1 + verdict).mean()
        case _:
            assert_never(kind)


def fooling_loss(verdict: Tensor, kind: AdversarialLoss = "lsgan") -> Tensor:
    """What a generator loses by the verdict on its pictures (Eq. 1): the less, the more real they look.

    That is what the discriminator would lose if they were real; the generator's -log D(G(x)) instead of Eq. 1's
    log(1 - D(G(x))) gives it a slope where it is easily found out (Goodfellow et al. 2014, Sec. 3). Only "hinge" has
    its own: mean -D(x), which goes on beyond the margin and may be negative.

    Args:
        verdict: [B, 1, h, w], the discriminator's output on generated pictures, unbounded.
        kind: Which loss.

    Returns:
        A scalar.
    """
    return -_widen(verdict).mean() if kind == "hinge" else gan_loss(verdict, real=True, kind=kind)


def cycle_loss(real: Tensor, rec: Tensor) -> Tensor:
    """Cycle-consistency loss (Eq. 2): mean |rec - real|, both [B, C, H, W] in [-1, 1]. A scalar in [0, 2]."""
    return F.l1_loss(_widen(rec), _widen(real))


def identity_loss(real: Tensor, idt: Tensor) -> Tensor:
    """Identity loss (Sec. 5.2): mean |idt - real|, where idt_A = G_BA(real_A). A scalar in [0, 2]."""
    return F.l1_loss(_widen(idt), _widen(real))


def gradient_penalty(discriminator: Callable[[Tensor], Tensor], real: Tensor) -> Tensor:
    """R1, the zero-centred gradient penalty on real pictures, for a weight of 1 (Mescheder et al. 2018, Eq. 9).

    1/2 E |grad D(x)|^2, the expectation over pictures, the norm over all values of a picture. D(x) is the mean of the
    verdicts on its patches, so that a discriminator of one patch has the paper's own penalty. It is computed in the
    discriminator's own weights' dtype even within autocast: the slopes are small and then squared.

    Args:
        discriminator: [B, C, H, W] -> [B, 1, h, w].
        real: [B, C, H, W], pictures as the discriminator is shown them.

    Returns:
        A scalar, at least 0, whose gradient reaches the discriminator's weights.
    """
    real = real.detach().requires_grad_(True)
    with torch.autocast(real.device.type, enabled=False):
        verdicts = discriminator(real).flatten(1).mean(1)
        (slope,) = torch.autograd.grad(verdicts.sum(), real, create_graph=True)
        return slope.square().sum((1, 2, 3)).mean() / 2


def _widen(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))
