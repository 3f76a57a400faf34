"""What each option costs: the time of a step beside that of the same training without it.

    python benchmarks/options.py [--seconds 3] [--device cpu] [--paper]

All ways take turns within one run, so that other work on the machine meets all alike. The ratio is the median over
rounds of a way's step to the plain step of the same round; the time is the best. Two trainings are taken: the network
of the quick preset without its own additions (3 blocks, 32 channels, 4 pictures of 64 px), and, with `--paper`, the
paper's (9 blocks, 64 channels, 1 picture of 128 px).
"""

from __future__ import annotations

import argparse
import dataclasses
import statistics
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import preset_config
from engine.config import TrainConfig
from engine.device import choose_device, choose_precision, compute_threads
from engine.model.cyclegan import CycleGAN
import torch
# isort: on

OPTIONS: dict[str, dict[str, Any]] = {
    "as it is": {},
    "identity weight 0.5": {"lambda_identity": 0.5},
    "long skip": {"long_skip": True},
    "resize-convolution": {"resize_conv": True},
    "averaged generators": {"ema_decay": 0.999},
    "DiffAugment": {"diff_augment": True},
    "gradient penalty": {"gradient_penalty": 1.0},
    "spectral norm": {"spectral_norm": True},
    "clipped gradients": {"clip_gradient": 1.0},
    "image pool": {"pool_size": 50},
    "dropout": {"dropout": True},
    "batch norm": {"norm": "batch"},
    "no norm": {"norm": "none"},
    "cross-entropy": {"gan_loss": "vanilla"},
    "hinge": {"gan_loss": "hinge"},
    "pixel discriminator": {"discriminator": "pixel"},
    "2 layers of discriminator": {"discriminator_layers": 2},
    "U-Net": {"generator": "unet", "halvings": 6},
    "begun at half the size": {"size": None},
    "4 batches of a quarter": {"batch_size": 1, "accumulate": 4},
    "grey to colour": {"grey_A": True},
}


class Way:
    """A training with one option, stepping on made-up pictures."""

    def __init__(self, config: TrainConfig, device: torch.device, precision: Any, pictures: int) -> None:
        self.model = CycleGAN(config, device, precision)
        self.seconds: list[float] = []
        architecture = config.architecture
        self._real_A, self._real_B = (
            torch.rand(pictures, architecture.channels_of(domain), *config.crop_size, device=device) * 2 - 1
            for domain in ("A", "B")
        )
        self._pictures, self._device = pictures, device

    def step(self) -> None:
        """One step, timed."""
        number = len(self.seconds)
        start = time.perf_counter()
        losses = self.model.step(
            self._real_A, self._real_B, first_number=number * self._pictures, learning_rate=2e-4, number=number
        )
        losses["G_AB"].item()  # Waits for the device.
        self.seconds.append(time.perf_counter() - start)


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=3, help="for each option")
    parser.add_argument("--device", default="auto")
    parser.add_argument("--paper", action="store_true", help="the paper's networks instead of quick's")
    options = parser.parse_args()
    torch.set_num_threads(compute_threads())
    device = choose_device(options.device)
    precision = choose_precision("auto", device)
    somewhere = Path()
    places = {"folder_A": somewhere, "folder_B": somewhere, "run": somewhere}
    if options.paper:
        base = preset_config("paper", **places, size=128, pool_size=0)
    else:
        base = preset_config("quick", **places, long_skip=False, resize_conv=False)
    ways = {}
    for name, values in OPTIONS.items():
        if options.paper and "accumulate" in values:
            continue
        changes = {"size": base.size // 2} if "size" in values else values
        pictures = base.batch_size
        ways[name] = Way(dataclasses.replace(base, **changes), device, precision, pictures)
    for way in ways.values():
        way.step()  # Libraries are loaded and kernels tuned.
    until = time.perf_counter() + options.seconds * len(ways)
    while time.perf_counter() < until or min(len(way.seconds) for way in ways.values()) < 3:
        for way in ways.values():
            way.step()
    plain = ways["as it is"].seconds
    print(f"{base.size} px, {base.batch_size} pictures, {base.blocks} blocks of {base.channels}, {device}, {precision}")
    for name, way in ways.items():
        ratio = statistics.median(mine / its for mine, its in zip(way.seconds[1:], plain[1:], strict=True))
        print(f"{name:<28}{min(way.seconds[1:]) * 1000:9.1f} ms{ratio:8.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
