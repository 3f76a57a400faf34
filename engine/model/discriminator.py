"""The discriminators: PatchGAN of any number of layers (paper, Sec. 4 and 7.2), and one that judges single pixels."""

from __future__ import annotations

from typing import Literal, TypeAlias

from torch import Tensor, nn

from engine.config import TrainConfig
from engine.model.architecture import Norm
from engine.model.layers import Layers
from engine.model.norm import apply_spectral_norm, has_bias, make_norm


class PatchDiscriminator(nn.Module):
    """D_A or D_B: [B, C, H, W] in [-1, 1] -> [B, 1, h, w], a verdict on each patch, unbounded.

    C64-C128-C256-C512 (Sec. 7.2) with the paper's 3 layers of stride 2, whose verdicts see 70x70 pixels: h is H/8 - 2,
    H and W at least 24. More layers see more, 1 layer 16 pixels; widths double up to 8 times the first. The keys of its
    state dict are those of the reference.
    """

    def __init__(self, channels: int = 64, *, in_channels: int = 3, layers: int = 3, norm: Norm = "instance") -> None:
        """Make the layers.

        Args:
            channels: Width of the first.
            in_channels: Channels of a picture, 1 or 3.
            layers: How many have stride 2; one of stride 1 and the verdicts follow.
            norm: What follows each convolution between the first and the last.
        """
        super().__init__()
        widths = [channels * min(2**layer, 8) for layer in range(layers + 1)]
        sequence: list[nn.Module] = [nn.Conv2d(in_channels, channels, 4, stride=2, padding=1)]
        for layer in range(1, layers + 1):
            stride = 2 if layer < layers else 1
            sequence += [
                nn.LeakyReLU(0.2, inplace=True),
                nn.Conv2d(widths[layer - 1], widths[layer], 4, stride=stride, padding=1, bias=has_bias(norm)),
                make_norm(norm, widths[layer]),
            ]
        sequence += [nn.LeakyReLU(0.2, inplace=True), nn.Conv2d(widths[-1], 1, 4, stride=1, padding=1)]
        self.model = Layers(*sequence)

    def forward(self, x: Tensor) -> Tensor:
        """How real each patch looks: near 1 real, near 0 generated (with the least squares of the paper)."""
        verdict: Tensor = self.model(x)
        return verdict


class PixelDiscriminator(nn.Module):
    """D_A or D_B: [B, C, H, W] in [-1, 1] -> [B, 1, H, W], a verdict on each pixel by its colour, unbounded.

    1x1 convolutions only: with a norm, its statistics are all that a pixel knows of the others. The keys of its state
    dict are those of the reference.
    """

    def __init__(self, channels: int = 64, *, in_channels: int = 3, norm: Norm = "instance") -> None:
        super().__init__()
        bias = has_bias(norm)
        self.net = Layers(
            nn.Conv2d(in_channels, channels, 1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(channels, 2 * channels, 1, bias=bias),
            make_norm(norm, 2 * channels),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * channels, 1, 1, bias=bias),
        )

    def forward(self, x: Tensor) -> Tensor:
        """How real each pixel looks: near 1 real, near 0 generated (with the least squares of the paper)."""
        verdict: Tensor = self.net(x)
        return verdict


AnyDiscriminator: TypeAlias = PatchDiscriminator | PixelDiscriminator


def make_discriminator(config: TrainConfig, domain: Literal["A", "B"]) -> AnyDiscriminator:
    """The discriminator that judges pictures of a domain, its weights not yet drawn: call `init_weights` or load some.

    With `spectral_norm` the keys of its state dict are not the reference's; see `apply_spectral_norm`.
    """
    in_channels = config.architecture.channels_of(domain)
    channels = config.discriminator_channels or config.channels
    network: AnyDiscriminator
    if config.discriminator == "patch":
        layers = config.discriminator_layers
        network = PatchDiscriminator(channels, in_channels=in_channels, layers=layers, norm=config.norm)
    else:
        network = PixelDiscriminator(channels, in_channels=in_channels, norm=config.norm)
    if config.spectral_norm:
        apply_spectral_norm(network)
    return network
