"""The generators: ResNet (paper, Sec. 7.2) and U-Net, the long skip, and how first weights are drawn."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from itertools import pairwise
from typing import TypeAlias

import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.utils.checkpoint import checkpoint

from engine.config import Direction, Init
from engine.model.architecture import Architecture, Norm
from engine.model.layers import Layers, ReflectionPad, Residual, reflected
from engine.model.norm import has_bias, make_norm, spectral_norm_of


class ResidualBlock(Residual):
    """x + F(x), F being two 3x3 convolutions of the same width. [B, C, H, W] -> the same shape.

    Attributes:
        recompute: As in `Generator`.
    """

    def __init__(self, channels: int, norm: Norm = "instance", *, dropout: bool = False) -> None:
        super().__init__()
        self.recompute = False
        bias = has_bias(norm)
        self.conv_block = Layers(
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm(norm, channels),
            nn.ReLU(inplace=True),
            *([nn.Dropout(0.5)] if dropout else []),
            ReflectionPad(1),
            nn.Conv2d(channels, channels, 3, bias=bias),
            make_norm(norm, channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        """X + F(x)."""
        return _recomputed(self, x) if self.recompute and torch.is_grad_enabled() else self.changed(x)

    def changed(self, x: Tensor) -> Tensor:
        """The same, remembering for the backward pass what is inside."""
        change: Tensor = self.conv_block(x)
        return change.add_(x)


class ResizeConv(nn.Conv2d):
    """Twice the size by repeating each pixel, then a 3x3 convolution (Odena et al. 2016): no chequered pattern.

    [B, C, H, W] -> [B, D, 2 H, 2 W]. It stands where the transposed convolution would, under the same key.
    """

    def __init__(self, in_channels: int, out_channels: int, *, bias: bool = True) -> None:
        super().__init__(in_channels, out_channels, 3, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        """Enlarge and convolve."""
        larger = F.interpolate(x, scale_factor=2, mode="nearest")
        return super().forward(reflected(larger, 1))


class Generator(nn.Module):
    """G_AB or G_BA: [B, C, H, W] in [-1, 1] -> [B, D, H, W] in [-1, 1], H and W multiples of 4, at least 8.

    c7s1-64, d128, d256, R256 x blocks, u128, u64, c7s1-3 (Sec. 7.2); C and D are 1 for grey domains, else 3. The keys
    of its state dict are those of the reference implementation. With the long skip it computes
    tanh(atanh(0.9 x) + f(x)), f being the same layers without their tanh: it predicts a change of the picture, begins
    as the identity, and keeps every edge of its source. The keys are the same but the weights mean something else, so
    a model must say which it is.
    """

    def __init__(self, architecture: Architecture, direction: Direction = "a2b") -> None:
        super().__init__()
        c, norm, bias = architecture.channels, architecture.norm, has_bias(architecture.norm)
        in_channels, self._out_channels = _picture_channels(architecture, direction)
        self.long_skip = architecture.long_skip
        enlarge = ResizeConv if architecture.resize_conv else _transposed_conv
        self.model = Layers(
            ReflectionPad(3),
            nn.Conv2d(in_channels, c, 7, bias=bias),
            make_norm(norm, c),
            nn.ReLU(inplace=True),
            nn.Conv2d(c, 2 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(inplace=True),
            nn.Conv2d(2 * c, 4 * c, 3, stride=2, padding=1, bias=bias),
            make_norm(norm, 4 * c),
            nn.ReLU(inplace=True),
            *(ResidualBlock(4 * c, norm, dropout=architecture.dropout) for _ in range(architecture.blocks)),
            enlarge(4 * c, 2 * c, bias=bias),
            make_norm(norm, 2 * c),
            nn.ReLU(inplace=True),
            enlarge(2 * c, c, bias=bias),
            make_norm(norm, c),
            nn.ReLU(inplace=True),
            ReflectionPad(3),
            nn.Conv2d(c, self._out_channels, 7),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Translate a batch; the output has at least fp32, whatever the precision of the layers."""
        change = self.change(x)
        return torch.tanh(change + skipped(x, self._out_channels) if self.long_skip else change)

    def change(self, x: Tensor) -> Tensor:
        """What is before the tanh, f(x) of the long skip: [B, D, H, W] in at least fp32, without a limit."""
        return _at_least_fp32(self.model(x))

    @property
    def recompute(self) -> bool:
        """Whether the backward pass computes what is inside its residual blocks anew, instead of remembering it.

        The same gradients in less memory (Chen et al. 2016).
        """
        return any(block.recompute for block in self._blocks)

    @recompute.setter
    def recompute(self, on: bool) -> None:
        for block in self._blocks:
            block.recompute = on

    @property
    def _blocks(self) -> list[ResidualBlock]:
        return [layer for layer in self.model if isinstance(layer, ResidualBlock)]

    def start_as_identity(self) -> None:
        """Set the last convolution to 0, so that a generator with the long skip begins as 0.9 x."""
        _set_to_zero(self.model[-1])


def _recomputed(block: ResidualBlock, x: Tensor) -> Tensor:
    """What the block makes of x, its inside computed anew for the backward pass, with the same features dropped."""
    y: Tensor = checkpoint(
        block.changed, x, use_reentrant=False, context_fn=lambda: (contextlib.nullcontext(), _statistics_kept(block))
    )
    return y


@contextlib.contextmanager
def _statistics_kept(block: ResidualBlock) -> Iterator[None]:
    """Batch norms count each batch once, though they see it twice."""
    buffers = [
        (module, name, buffer) for module in block.modules() for name, buffer in module.named_buffers(recurse=False)
    ]
    for module, name, buffer in buffers:
        setattr(module, name, buffer.clone())
    try:
        yield
    finally:
        for module, name, buffer in buffers:
            setattr(module, name, buffer)


class UnetLevel(nn.Module):
    """One halving of a U-Net and, around everything smaller, its doubling: [B, C, H, W] -> [B, C + D, H, W].

    What it joins to its result is its input after the LeakyReLU, which works in place to save memory. The ReLU that
    follows makes the same of it as of the input itself: relu(leaky(x)) = relu(x).
    """

    def __init__(self, *layers: nn.Module) -> None:
        super().__init__()
        self.model = Layers(*layers)

    def forward(self, x: Tensor) -> Tensor:
        """The input and what its smaller copies make of it, side by side."""
        return torch.cat([x, self.model(x)], 1)


class UnetOuterLevel(UnetLevel):
    """The first halving and last doubling of a U-Net, which joins nothing: [B, C, H, W] -> [B, D, H, W]."""

    def forward(self, x: Tensor) -> Tensor:
        """The picture before its tanh."""
        y: Tensor = self.model(x)
        return y


class UnetGenerator(nn.Module):
    """G_AB or G_BA as a U-Net (Ronneberger et al. 2015) like pix2pix: [B, C, H, W] -> [B, D, H, W], both in [-1, 1].

    4x4 convolutions of stride 2 halve the picture `halvings` times, to widths of 64, 128, 256 and then 512, and
    transposed ones double it again, each beside the features of its own size. H and W are multiples of
    2 ** halvings; 7 halvings are the reference's U-Net-128, 8 its U-Net-256. Dropout is in the levels between the
    innermost and the fourth. Channels, keys, long skip and precision are as for `Generator`.
    """

    def __init__(self, architecture: Architecture, direction: Direction = "a2b") -> None:
        super().__init__()
        in_channels, self._out_channels = _picture_channels(architecture, direction)
        self.long_skip = architecture.long_skip
        c, bias = architecture.channels, has_bias(architecture.norm)
        widths = [c * min(2**level, 8) for level in range(architecture.halvings)]
        inner: nn.Module | None = None
        for outer_width, width in reversed(list(pairwise(widths))):
            inner = _unet_level(architecture, outer_width, width, inner)
        assert inner is not None
        self.model = UnetOuterLevel(
            nn.Conv2d(in_channels, c, 4, stride=2, padding=1, bias=bias),
            inner,
            nn.ReLU(inplace=True),
            nn.ConvTranspose2d(2 * c, self._out_channels, 4, stride=2, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """Translate a batch; the output has at least fp32, whatever the precision of the layers."""
        change = self.change(x)
        return torch.tanh(change + skipped(x, self._out_channels) if self.long_skip else change)

    def change(self, x: Tensor) -> Tensor:
        """What is before the tanh, f(x) of the long skip: [B, D, H, W] in at least fp32, without a limit."""
        return _at_least_fp32(self.model(x))

    def start_as_identity(self) -> None:
        """Set the last convolution to 0, so that a generator with the long skip begins as 0.9 x."""
        _set_to_zero(self.model.model[-1])


AnyGenerator: TypeAlias = Generator | UnetGenerator


def make_generator(architecture: Architecture, direction: Direction) -> AnyGenerator:
    """The generator of one direction, its weights not yet drawn: call `init_weights` or load some."""
    kind = Generator if architecture.generator == "resnet" else UnetGenerator
    return kind(architecture, direction)


def init_weights(network: nn.Module, generator: torch.Generator, init: Init = "normal", gain: float = 0.02) -> None:
    """Draw every weight of a network of convolutions and set every bias to 0 (Sec. 7.2).

    Weights of batch norms are drawn around 1 with the deviation `gain`. With spectral norm it is the weight behind it
    that is drawn.

    Args:
        network: Any network made of convolutions.
        generator: The only source of randomness, on the CPU, so that a seed means the same on every device.
        init: "normal" is N(0, gain); "xavier" has a deviation of gain * sqrt(2 / (fan in + fan out)) (Glorot and
            Bengio 2010); "kaiming" of sqrt(2 / fan in) (He et al. 2015), without the gain; "orthogonal" has rows of
            length `gain` at right angles, or columns where these are fewer (Saxe et al. 2014).
        gain: The scale.
    """
    for module in network.modules():
        if isinstance(module, nn.Conv2d | nn.ConvTranspose2d):
            spectral = spectral_norm_of(module)
            weight = module.weight if spectral is None else spectral.original
            _draw(weight, generator, init, gain)
            if spectral is not None:
                spectral.norm.restart(weight, generator)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
        elif isinstance(module, nn.BatchNorm2d):
            nn.init.normal_(module.weight, 1.0, gain, generator=generator)
            nn.init.zeros_(module.bias)


def _draw(weight: Tensor, generator: torch.Generator, init: Init, gain: float) -> None:
    match init:
        case "normal":
            nn.init.normal_(weight, 0.0, gain, generator=generator)
        case "xavier":
            nn.init.xavier_normal_(weight, gain, generator=generator)
        case "kaiming":
            nn.init.kaiming_normal_(weight, generator=generator)
        case "orthogonal":
            nn.init.orthogonal_(weight, gain, generator=generator)


def _picture_channels(architecture: Architecture, direction: Direction) -> tuple[int, int]:
    """Channels of a generator's input and output."""
    of_A, of_B = architecture.channels_of("A"), architecture.channels_of("B")
    return (of_A, of_B) if direction == "a2b" else (of_B, of_A)


def _transposed_conv(in_channels: int, out_channels: int, *, bias: bool) -> nn.ConvTranspose2d:
    return nn.ConvTranspose2d(in_channels, out_channels, 3, stride=2, padding=1, output_padding=1, bias=bias)


def _unet_level(architecture: Architecture, outer_width: int, width: int, inner: nn.Module | None) -> UnetLevel:
    """A level that takes and makes `outer_width` channels and has `width` at half the size; None is inside the last."""
    norm, bias = architecture.norm, has_bias(architecture.norm)
    halve = nn.Conv2d(outer_width, width, 4, stride=2, padding=1, bias=bias)
    down: list[nn.Module] = [nn.LeakyReLU(0.2, inplace=True), halve]
    if inner is not None:
        down += [make_norm(norm, width), inner]
    double = nn.ConvTranspose2d(width if inner is None else 2 * width, outer_width, 4, stride=2, padding=1, bias=bias)
    up: list[nn.Module] = [nn.ReLU(inplace=True), double, make_norm(norm, outer_width)]
    if architecture.dropout and inner is not None and outer_width == width:
        up.append(nn.Dropout(0.5))
    return UnetLevel(*down, *up)


def skipped(x: Tensor, channels: int) -> Tensor:
    """What the long skip carries, atanh(0.9 x), with the channels of the output: grey is the mean of the colours."""
    wide = _at_least_fp32(x)
    if channels < wide.shape[1]:
        wide = wide.mean(1, keepdim=True)
    return torch.atanh(0.9 * wide).expand(-1, channels, -1, -1)


def _at_least_fp32(x: Tensor) -> Tensor:
    return x.to(torch.promote_types(x.dtype, torch.float32))


def _set_to_zero(last: nn.Module) -> None:
    assert isinstance(last, nn.Conv2d | nn.ConvTranspose2d) and last.bias is not None
    nn.init.zeros_(last.weight)
    nn.init.zeros_(last.bias)
