"""The running average of a generator's weights (EMA), which is calmer than the weights themselves."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import Tensor, nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """A copy to hold the average: it is never trained, and always as it will be used (no dropout)."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def average(
    averaged: nn.Module, network: nn.Module, *, decay: float, steps: int, is_good: Tensor | None = None
) -> None:
    """Move the average towards the network: averaged <- d averaged + (1 - d) network, d = min(decay, (1+n) / (10+n)).

    The smaller d of a young training forgets its first weights, which are noise; without it they would be half of the
    average after 700 steps at 0.999. Buffers (the statistics of a batch norm) are averages already and are copied.

    Args:
        averaged: What `averaged_copy` gave, in the network's dtype.
        network: The network after its newest step.
        decay: Share of the old that the training asks for, in [0, 1).
        steps: Steps taken, n; at least 1.
        is_good: Whether that step has moved the network, a bool on the device, []; if not, nothing moves. None is yes.
    """
    share = min(decay, (1 + steps) / (10 + steps))
    kept_weights: list[Tensor] = list(averaged.parameters())
    weights: list[Tensor] = list(network.parameters())
    if is_good is None:
        torch._foreach_lerp_(kept_weights, weights, 1 - share)
    else:
        changes = list(torch._foreach_sub(weights, kept_weights))
        torch._foreach_mul_(changes, is_good.to(weights[0].dtype) * (1 - share))
        torch._foreach_add_(kept_weights, changes)
    for kept, new in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(new)
