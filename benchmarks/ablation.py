"""What each part of the fast training step brings, and what was tried instead: one change at a time, in turns with all.

    python benchmarks/ablation.py [--trials "without the padding" ...] [--precision auto] [--turns 3] [--json]

Each trial is a step of `benchmarks/step.py` with one thing put back to how torch has it, or exchanged for something
else; it takes turns with the step as it is. On two cores that is a minute for each trial with two turns, and two for
fp32 and for compiling. A ratio above 1 is what the step would lose by it. Peaks are of the whole
process. The tables of docs/decisions/0014.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
import engine  # noqa: F401
from engine.model import cyclegan, few_channels, generator, layers, winograd
from benchmarks import step
from benchmarks.photographs import write_photographs
from benchmarks.turns import Spread, TurnError, all_of, in_turns
import torch
from torch import Tensor, nn
from torch.nn import functional as F
# isort: on


def without_channels_last() -> None:
    """Features lie channel by channel, as torch has them by default."""
    cyclegan.features_format = lambda _: torch.contiguous_format


def without_the_norm() -> None:
    """The instance norm of torch, which goes to fp32 and to another order and back."""

    def normed(x: Tensor) -> Tensor:
        wide = x.to(torch.promote_types(x.dtype, torch.float32))
        return F.instance_norm(wide, eps=layers.EPSILON).to(x.dtype)

    _exchange_norm(normed)


def with_group_norm() -> None:
    """The group norm of torch with a group for each channel, which is instance norm."""

    def normed(x: Tensor) -> Tensor:
        pictures, channels, height, width = x.shape
        wide = torch.promote_types(x.dtype, torch.float32)
        one, zero = x.new_ones(channels, dtype=wide), x.new_zeros(channels, dtype=wide)
        return torch.native_group_norm(x, one, zero, pictures, channels, height * width, channels, layers.EPSILON)[0]

    _exchange_norm(normed)


def without_fusing() -> None:
    """Norm and activation one after the other."""
    layers.Layers.forward = nn.Sequential.forward  # type: ignore[method-assign]


def without_the_padding() -> None:
    """The reflection padding of torch, whose backward pass copies all of it."""
    layers.ReflectionPad.forward = nn.ReflectionPad2d.forward  # type: ignore[method-assign]
    generator.reflected = lambda x, by: F.pad(x, (by, by, by, by), mode="reflect")


def without_winograd() -> None:
    """Every 3x3 convolution by torch, in fp32 too."""
    winograd.suits = lambda *_: False


def without_few_channels() -> None:
    """Convolutions from and to pictures by torch."""
    few_channels.suits = lambda *_: False


def with_compile() -> None:
    """Networks through torch.compile, which needs a C++ compiler and takes its time before the first step."""
    make = cyclegan.CycleGAN.__init__

    def compiled(self: cyclegan.CycleGAN, *arguments: object, **options: object) -> None:
        make(self, *arguments, **options)  # type: ignore[arg-type]
        for network in self.networks.values():
            network.compile()

    cyclegan.CycleGAN.__init__ = compiled  # type: ignore[method-assign]


def _exchange_norm(normed: Callable[[Tensor], Tensor]) -> None:
    def activated(self: layers.InstanceNorm, x: Tensor, *, slope: float) -> Tensor:
        return F.leaky_relu_(normed(x), slope) if slope else F.relu_(normed(x))

    layers.InstanceNorm.forward = lambda self, x: normed(x)  # type: ignore[method-assign]
    layers.InstanceNorm.activated = activated  # type: ignore[method-assign]


CHANGES: dict[str, Callable[[], None]] = {
    "without channels last": without_channels_last,
    "without the norm": without_the_norm,
    "without fusing": without_fusing,
    "without the padding": without_the_padding,
    "without Winograd": without_winograd,
    "without few channels": without_few_channels,
    "with group norm": with_group_norm,
    "with compile": with_compile,
}
ARGUMENTS: dict[str, list[str]] = {
    "in fp32": ["--precision", "fp32"],
    "with one thread": ["--threads", "1"],
    "with all threads": ["--threads", str(torch.get_num_threads())],
}


def main() -> int:
    """Print the table."""
    if sys.argv[1:2] == ["--one"]:
        CHANGES[sys.argv[2]]()
        return step.main(sys.argv[3:])
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--trials", nargs="+", choices=[*CHANGES, *ARGUMENTS], default=[*CHANGES, *ARGUMENTS])
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--device", default="auto")
    parser.add_argument(
        "--threads", type=int, help="of all that do not say it themselves (what a training would choose)"
    )
    parser.add_argument("--size", type=int, default=256)
    parser.add_argument("--blocks", type=int, default=9)
    parser.add_argument("--channels", type=int, default=64)
    parser.add_argument("--turns", type=int, default=3)
    parser.add_argument("--json", action="store_true", help="print all of it as one object, too")
    options = parser.parse_args()
    sizes = [f"--{name}={getattr(options, name)}" for name in ("size", "blocks", "channels", "device", "precision")]
    found = {}
    print("| trial | ratio of the time | memory, GB | seconds |\n| --- | --- | --- | --- |")
    with tempfile.TemporaryDirectory() as folder:
        A, B = (
            write_photographs(Path(folder) / side, 4, size=(options.size, options.size), first=first)
            for side, first in (("A", 0), ("B", 100))
        )
        for trial in options.trials:
            threads = [] if options.threads is None else ["--threads", options.threads]
            plain = [A, B, *sizes, *threads, "--turns"]
            start = [__file__, "--one", trial] if trial in CHANGES else [step.__file__]
            commands = {
                "trial": [sys.executable, *start, *plain, *ARGUMENTS.get(trial, [])],
                "all": [sys.executable, step.__file__, *plain],
            }
            try:
                with all_of(commands, patience=600) as workers:
                    answers = in_turns(workers, options.turns)
                    peaks = {name: worker.finish()["peak_bytes"] / 1e9 for name, worker in workers.items()}
            except TurnError as error:
                print(f"| {trial} | not measured: {error} | | |", flush=True)
                continue
            seconds = {name: [answer["seconds"] for answer in given] for name, given in answers.items()}
            ratios = [one / other for one, other in zip(seconds["trial"], seconds["all"], strict=True)]
            one, other, ratio = (Spread.of(values) for values in (seconds["trial"], seconds["all"], ratios))
            words = f"{ratio.median:.2f} ({ratio.low:.2f} to {ratio.high:.2f})"
            memory = f"{peaks['trial']:.1f} instead of {peaks['all']:.1f}"
            print(f"| {trial} | {words} | {memory} | {one.median:.2f} instead of {other.median:.2f} |", flush=True)
            found[trial] = {"seconds": seconds, "peaks": peaks}
    if options.json:
        print(json.dumps(found))
    return 0


if __name__ == "__main__":
    sys.exit(main())
