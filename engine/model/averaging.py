"""The running average of a generator's weights (EMA), which is calmer than the weights themselves."""

from __future__ import annotations

import copy
from typing import TypeVar

import torch
from torch import nn

Network = TypeVar("Network", bound=nn.Module)


def averaged_copy(network: Network) -> Network:
    """A copy to hold the average: it is never trained, and always as it will be used (no dropout)."""
    return copy.deepcopy(network).requires_grad_(False).eval()


@torch.no_grad()
def average(averaged: nn.Module, network: nn.Module, *, decay: float, steps: int) -> None:
    """Move the average towards the network: averaged <- d averaged + (1 - d) network, d = min(decay, (1+n) / (10+n)).

    The smaller d of a young training forgets its first weights, which are noise; without it they would be half of the
    average after 700 steps at 0.999. Buffers (the statistics of a batch norm) are averages already and are copied.

    Args:
        averaged: What `averaged_copy` gave, in the network's dtype.
        network: The network after its newest step.
        decay: Share of the old that the training asks for, in [0, 1).
        steps: Steps taken, n; at least 1.
    """
    share = min(decay, (1 + steps) / (10 + steps))
    torch._foreach_lerp_(list(averaged.parameters()), list(network.parameters()), 1 - share)
    for kept, new in zip(averaged.buffers(), network.buffers(), strict=True):
        kept.copy_(new)
