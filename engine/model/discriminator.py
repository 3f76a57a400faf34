"""The 70x70 PatchGAN discriminator (paper, Sec. 4 and 7.2)."""

from __future__ import annotations

from torch import Tensor, nn

from engine.model.generator import InstanceNorm


class PatchDiscriminator(nn.Module):
    """D_A or D_B: [B, 3, H, W] in [-1, 1] -> [B, 1, H/8 - 2, W/8 - 2], a verdict on each 70x70 patch, unbounded.

    C64-C128-C256-C512 (Sec. 7.2), H and W at least 32. The keys of its state dict are those of the reference.
    """

    def __init__(self, channels: int = 64) -> None:
        super().__init__()
        c = channels
        self.model = nn.Sequential(
            nn.Conv2d(3, c, 4, stride=2, padding=1),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(c, 2 * c, 4, stride=2, padding=1),
            InstanceNorm(),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(2 * c, 4 * c, 4, stride=2, padding=1),
            InstanceNorm(),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(4 * c, 8 * c, 4, stride=1, padding=1),
            InstanceNorm(),
            nn.LeakyReLU(0.2, inplace=True),
            nn.Conv2d(8 * c, 1, 4, stride=1, padding=1),
        )

    def forward(self, x: Tensor) -> Tensor:
        """How real each patch looks: near 1 real, near 0 generated."""
        verdict: Tensor = self.model(x)
        return verdict
