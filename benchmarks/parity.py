"""How far fp32 and bf16 are from float64 in one training step, by tensor norm: the tables of docs/parity.md.

    python benchmarks/parity.py [--size 128] [--blocks 9] [--channels 64]

Each takes one step on the CPU from the same weights and the same pair of pictures (the first of the sample's trainA
and trainB), as the preset "reference" does: instance norm, least squares, batch 1. Each figure is the norm of the
difference to float64 over the norm in float64. Two scales stand beside them: float64 with the result of every
convolution rounded, which is what any implementation must lose by that format, and a step on another pair of pictures.
Weights are not compared: Adam's first step moves each by the full rate in the direction of its gradient's sign,
however small the gradient.
"""

from __future__ import annotations

import argparse
import sys
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import numpy as np
from PIL import Image

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import TrainConfig, preset_config
from engine.device import ChosenPrecision, autocast
from engine.model.cyclegan import CycleGAN
from engine.model.layers import InstanceNorm
import torch
from torch import Tensor, nn
# isort: on

_CPU = torch.device("cpu")
_SAMPLE = Path(__file__).resolve().parent.parent / "resources/sample"


@dataclass(frozen=True, slots=True)
class Way:
    """One way to take the step.

    Attributes:
        precision: Arithmetic of the networks.
        dtype: That of the weights and the pictures.
        rounded: To what the results of convolutions, and the gradients at the same places, are rounded; None for not.
        pair: Which pair of pictures, from 0.
    """

    precision: ChosenPrecision = "fp32"
    dtype: torch.dtype = torch.float64
    rounded: torch.dtype | None = None
    pair: int = 0


_WAYS = {
    "float64": Way(),
    "fp32": Way(dtype=torch.float32),
    "float64 rounded to fp32": Way(rounded=torch.float32),
    "bf16": Way("bf16", torch.float32),
    "float64 rounded to bf16": Way(rounded=torch.bfloat16),
    "fp32, another pair": Way(dtype=torch.float32, pair=1),
}


@dataclass(frozen=True, slots=True)
class Measured:
    """What one step gave, all in float64.

    Attributes:
        losses: The eight losses.
        outputs: fake_B and fake_A, made before the step.
        gradients: Of each network, all that count in one vector.
        idle: Of each network, those of the biases before an instance norm.
    """

    losses: dict[str, Tensor]
    outputs: dict[str, Tensor]
    gradients: dict[str, Tensor]
    idle: dict[str, Tensor]


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", type=int, default=128, help="side of the pictures, in pixels")
    parser.add_argument("--blocks", type=int, default=9, help="residual blocks of each generator")
    parser.add_argument("--channels", type=int, default=64, help="width of the first layers")
    options = parser.parse_args()
    places = {"folder_A": Path("A"), "folder_B": Path("B"), "run": Path("run")}
    config = preset_config(
        "reference", **places, size=options.size, blocks=options.blocks, channels=options.channels, seed=1
    )
    measured = {}
    for name, way in _WAYS.items():
        begun = time.perf_counter()
        measured[name] = _step(config, way)
        print(f"{name}: {time.perf_counter() - begun:.0f} s", file=sys.stderr)
    print(f"{options.size} px, {options.blocks} blocks, {options.channels} channels, torch {torch.__version__}\n")
    exact, others = measured.pop("float64"), measured
    for part, title in (("losses", "loss"), ("outputs", "output"), ("gradients", "gradient of")):
        print(f"| {title} | {' | '.join(others)} |\n| --- |{' --- |' * len(others)}")
        for key, value in getattr(exact, part).items():
            differences = [(getattr(other, part)[key] - value).norm() / value.norm() for other in others.values()]
            print(f"| {key} | {' | '.join(f'{d:.1e}' for d in differences)} |")
        print()
    plain = [name for name, way in _WAYS.items() if way.rounded is None and way.pair == 0]
    print(f"| left out, of | {' | '.join(plain)} |\n| --- |{' --- |' * len(plain)}")
    for key, value in exact.gradients.items():
        sizes = [({"float64": exact} | others)[name].idle[key].norm() / value.norm() for name in plain]
        print(f"| {key} | {' | '.join(f'{size:.1e}' for size in sizes)} |")
    return 0


def _pictures(config: TrainConfig, way: Way) -> tuple[Tensor, Tensor]:
    """A pair of the sample, each [1, 3, size, size] in [-1, 1]."""
    found = []
    for domain in "AB":
        path = sorted((_SAMPLE / f"train{domain}").iterdir())[way.pair]
        with Image.open(path) as picture:
            pixels = np.asarray(picture.convert("RGB").resize((config.size, config.size), Image.Resampling.BICUBIC))
        found.append((torch.tensor(pixels).permute(2, 0, 1)[None].double() / 127.5 - 1).to(way.dtype))
    return found[0], found[1]


def _step(config: TrainConfig, way: Way) -> Measured:
    real_A, real_B = _pictures(config, way)
    model = CycleGAN(config, _CPU, way.precision, way.dtype)
    if way.rounded is not None:
        _round_convolutions(model, way.rounded)
    with torch.no_grad(), autocast(_CPU, way.precision):
        outputs = {"fake_B": model.G_AB(real_A), "fake_A": model.G_BA(real_B)}
    losses = model.step(real_A, real_B, first_number=0, learning_rate=config.learning_rate, number=0)
    return Measured(
        {name: loss.double() for name, loss in losses.items()},
        {name: output.double() for name, output in outputs.items()},
        {name: _gradients(network, idle=False) for name, network in model.networks.items()},
        {name: _gradients(network, idle=True) for name, network in model.networks.items()},
    )


def _round_convolutions(model: CycleGAN, dtype: torch.dtype) -> None:
    def rounded(_layer: nn.Module, _inputs: object, result: Tensor) -> Tensor:
        return result.to(dtype).to(result.dtype)

    for network in model.networks.values():
        for layer in network.modules():
            if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
                layer.register_forward_hook(rounded)


def _gradients(network: nn.Module, *, idle: bool) -> Tensor:
    """The gradients of a network in one vector: of the biases that an instance norm takes away, or of all others."""
    taken_away = {id(bias) for bias in _biases_before_instance_norms(network)}
    found = [p.grad for p in network.parameters() if (id(p) in taken_away) == idle and p.grad is not None]
    return torch.cat([gradient.double().flatten() for gradient in found])


def _biases_before_instance_norms(network: nn.Module) -> list[Tensor]:
    chains = [module for module in network.modules() if isinstance(module, nn.Sequential)]
    pairs = [pair for chain in chains for pair in pairwise(chain)]
    convolutions = [first for first, second in pairs if isinstance(second, InstanceNorm)]
    assert all(isinstance(layer, nn.Conv2d | nn.ConvTranspose2d) for layer in convolutions)
    return [layer.bias for layer in convolutions if isinstance(layer.bias, Tensor)]


if __name__ == "__main__":
    sys.exit(main())
