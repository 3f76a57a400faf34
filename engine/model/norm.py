"""What keeps features and weights within bounds: which norm a network has, and spectral norm."""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils import parametrize

from engine.model.architecture import Norm
from engine.model.layers import InstanceNorm


def make_norm(norm: Norm, channels: int) -> nn.Module:
    """The norm after a convolution, [B, channels, H, W] -> the same shape.

    "none" is a layer that does nothing: it keeps the places, and so the keys, of the layers after it.
    """
    match norm:
        case "instance":
            return InstanceNorm()
        case "batch":
            # Its own kernels keep the statistics in fp32 under autocast.
            return nn.BatchNorm2d(channels)
        case "none":
            return nn.Identity()


def has_bias(norm: Norm) -> bool:
    """Whether the convolutions of the reference have a bias where this norm may follow.

    Batch norm brings its own and instance norm takes it away again, yet the reference has it with instance norm only.
    """
    return norm == "instance"


class SpectralNorm(nn.Module):
    """A weight divided by its largest singular value (Miyato et al. 2018, Algorithm 1), in at least fp32.

    Each forward pass in training takes one step of the power iteration from `u`, [rows], the last estimate of the
    left singular vector, which is part of the state. Unlike torch's own it never runs in half precision.
    """

    u: Tensor

    def __init__(self, rows: int) -> None:
        super().__init__()
        self.register_buffer("u", F.normalize(torch.ones(rows), dim=0))

    def forward(self, weight: Tensor) -> Tensor:
        """[rows, ...] -> the same shape, with a largest singular value of about 1."""
        with torch.autocast(weight.device.type, enabled=False):
            matrix = weight.flatten(1)
            with torch.no_grad():
                if self.training:
                    self.u.copy_(F.normalize(matrix @ F.normalize(matrix.T @ self.u, dim=0), dim=0))
                # A copy: the next forward pass changes `u` before the gradient of this one is taken.
                u = self.u.clone()
                v = F.normalize(matrix.T @ u, dim=0)
            return weight / (u @ (matrix @ v))

    @torch.no_grad()
    def restart(self, weight: Tensor, generator: torch.Generator) -> None:
        """Draw `u` anew and bring it near the singular vector of a new weight, [rows, ...]."""
        matrix = weight.flatten(1)
        u = torch.empty_like(self.u).normal_(generator=generator)
        for _ in range(_FIRST_ITERATIONS):
            u = F.normalize(matrix @ F.normalize(matrix.T @ u, dim=0), dim=0)
        self.u.copy_(u)


# As many as torch's own spectral norm begins with.
_FIRST_ITERATIONS = 15


def apply_spectral_norm(network: nn.Module) -> None:
    """Scale the weight of every convolution of a network to a spectral norm of 1, whenever it is used.

    In its state dict "X.weight" becomes "X.parametrizations.weight.original", beside which stands
    "X.parametrizations.weight.0.u".
    """
    for layer in [module for module in network.modules() if isinstance(module, nn.Conv2d)]:
        parametrize.register_parametrization(layer, "weight", SpectralNorm(layer.weight.shape[0]))


class SpectralWeight(NamedTuple):
    """A layer's spectral norm and the weight that it scales."""

    norm: SpectralNorm
    original: Tensor


def spectral_norm_of(layer: nn.Module) -> SpectralWeight | None:
    """The spectral norm of a convolution, None if it has none."""
    if not parametrize.is_parametrized(layer, "weight"):
        return None
    parametrizations = layer.parametrizations
    assert isinstance(parametrizations, nn.ModuleDict)
    of_weight = parametrizations["weight"]
    assert isinstance(of_weight, parametrize.ParametrizationList)
    norm = of_weight[0]
    assert isinstance(norm, SpectralNorm)
    return SpectralWeight(norm, of_weight.original)
