"""The ResNet generator (paper, Sec. 7.2), and the long skip."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from engine.model.architecture import Architecture

MULTIPLE = 4
"""Height and width of a generator's input are multiples of this (two stride-2 convolutions), and at least 8."""


class InstanceNorm(nn.Module):
    """Instance normalisation without parameters and without running statistics, computed in at least fp32.

    [B, C, H, W] -> the same shape and dtype. In fp16 the squares of a whole picture overflow.
    """

    def forward(self, x: Tensor) -> Tensor:
        """Zero mean and unit variance of each channel of each picture."""
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.instance_norm(wide, eps=1e-5).to(x.dtype)


class ResidualBlock(nn.Module):
    """x + F(x), F being two 3x3 convolutions of the same width. [B, C, H, W] -> the same shape."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.conv_block = nn.Sequential(
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(1),
            nn.Conv2d(channels, channels, 3),
            InstanceNorm(),
        )

    def forward(self, x: Tensor) -> Tensor:
        """X + F(x)."""
        change: Tensor = self.conv_block(x)
        return x + change


class ResizeConv(nn.Conv2d):
    """Twice the size by repeating each pixel, then a 3x3 convolution (Odena et al. 2016): no chequered pattern.

    [B, C, H, W] -> [B, D, 2 H, 2 W]. It stands where the transposed convolution would, under the same key.
    """

    def __init__(self, in_channels: int, out_channels: int) -> None:
        super().__init__(in_channels, out_channels, 3)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve."""
        larger = F.interpolate(x, scale_factor=2, mode="nearest")
        return super().forward(F.pad(larger, (1, 1, 1, 1), mode="reflect"))


class Generator(nn.Module):
    """G_AB or G_BA: [B, 3, H, W] in [-1, 1] -> [B, 3, H, W] in [-1, 1], H and W multiples of 4, at least 8.

    c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3 (Sec. 7.2). The keys of its state dict are those of the
    reference implementation. With the long skip it computes tanh(atanh(0.9 x) + f(x)), f being the same layers
    without their tanh: it predicts a change of the picture, begins as the identity, and keeps every edge of its
    source. The keys are the same but the weights mean something else, so a model must say which it is.
    """

    def __init__(self, architecture: Architecture) -> None:
        super().__init__()
        c = architecture.channels
        self.long_skip = architecture.long_skip
        enlarge = ResizeConv if architecture.resize_conv else _transposed_conv
        self.model = nn.Sequential(
            nn.ReflectionPad2d(3),
            nn.Conv2d(3, c, 7),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            *(ResidualBlock(4 * c) for _ in range(architecture.blocks)),
            enlarge(4 * c, 2 * c),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            enlarge(2 * c, c),
            InstanceNorm(),
            nn.ReLU(inplace=True),
            nn.ReflectionPad2d(3),
            nn.Conv2d(c, 3, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Translate a batch; the output has at least fp32, whatever the precision of the layers."""
        y = self.model(x)
        y = y.to(torch.promote_types(x.dtype, torch.float32))
        if self.long_skip:
            y = y + torch.atanh(0.9 * x.to(y.dtype))
        return torch.tanh(y)

    def start_as_identity(self) -> None:
        """Set the last convolution to 0, so that a generator with the long skip begins as 0.9 x."""
        last = self.model[-1]
        assert isinstance(last, nn.Conv2d) and last.bias is not None
        nn.init.zeros_(last.weight)
        nn.init.zeros_(last.bias)


def _transposed_conv(in_channels: int, out_channels: int) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1)


def init_weights(network: nn.Module, generator: torch.Generator) -> None:
    """Draw every weight from N(0, 0.02) and set every bias to 0 (Sec. 7.2).

    Args:
        network: Any network made of convolutions.
        generator: The source of randomness, on the CPU, so that a seed means the same on every device.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.normal_(module.weight, 0.0, 0.02, generator=generator)
            assert module.bias is not None
            nn.init.zeros_(module.bias)
