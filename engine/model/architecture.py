"""What a generator is made of, as stored with every model. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, get_args

GeneratorKind = Literal["resnet", "unet"]
Norm = Literal["instance", "batch", "none"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What the generators of a model are made of.

    Attributes:
        generator: "resnet" (paper, Sec. 7.2) or "unet".
        blocks: Residual blocks of a ResNet.
        halvings: Times a U-Net halves the picture; the reference's layers need at least 5.
        channels: Width of the first layer.
        norm: "instance", "batch" or "none".
        dropout: Whether there are dropout layers; they are at work while training only.
        grey_A: Whether pictures of A have one channel instead of three.
        grey_B: The same for B.
        long_skip: Whether it predicts a change of its input instead of a picture.
        resize_conv: Whether a ResNet enlarges by repeating pixels and convolving, instead of by transposed convolution.

    Raises:
        ValueError: Something that no generator can have.
    """

    generator: GeneratorKind = "resnet"
    blocks: int = 9
    halvings: int = 8
    channels: int = 64
    norm: Norm = "instance"
    dropout: bool = False
    grey_A: bool = False
    grey_B: bool = False
    long_skip: bool = False
    resize_conv: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.blocks <= 64 and 1 <= self.channels <= 512 and 5 <= self.halvings <= 10):
            raise ValueError(
                f"no generator has {self.blocks} blocks, {self.halvings} halvings or {self.channels} channels"
            )
        if self.generator not in get_args(GeneratorKind) or self.norm not in get_args(Norm):
            raise ValueError(f"there is no generator {self.generator} with the norm {self.norm}")

    @property
    def multiple(self) -> int:
        """Height and width of a generator's input are multiples of this, in pixels."""
        return 4 if self.generator == "resnet" else 2**self.halvings

    def channels_of(self, domain: Literal["A", "B"]) -> int:
        """Channels of a picture of this domain: 1 or 3."""
        return 1 if (self.grey_A if domain == "A" else self.grey_B) else 3
