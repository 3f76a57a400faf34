"""What a generator is made of, as stored with every model. Imports no torch."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True, slots=True)
class Architecture:
    """What a generator is made of.

    Attributes:
        blocks: Residual blocks.
        channels: Width of the first layer.
        long_skip: Whether it predicts a change of its input instead of a picture.
        resize_conv: Whether it enlarges by repeating pixels and convolving, instead of by transposed convolution.

    Raises:
        ValueError: A number that no generator can have.
    """

    blocks: int = 9
    channels: int = 64
    long_skip: bool = False
    resize_conv: bool = False

    def __post_init__(self) -> None:
        if not (1 <= self.blocks <= 64 and 1 <= self.channels <= 512):
            raise ValueError(f"no generator has {self.blocks} blocks of {self.channels} channels")
