"""A training step with one thread fewer than the cores and with all, batches singly and two in one call, in turns.

    python benchmarks/step_ways.py [--ways "1 thread" "2 threads" ...] [--preset standard] [--precision bf16]
        [--device cpu] [--rounds 4]

Prints the median, least and largest seconds of each way, and the ratio to the first way, round by round: a row of the
table of docs/decisions/0015. The first round is not counted; with the preset "paper" on two cores a round of all four
ways takes about half a minute in bf16 and a minute in fp32.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import preset_config
from engine.device import choose_device, hardware_name, threads_to_try
from engine.model.cyclegan import CycleGAN
import torch
# isort: on


# Threads, and whether batches of a network go through it together; the rule comes first.
WAYS = {
    f"{threads} thread{'' if threads == 1 else 's'}{', batched' if batched else ''}": (threads, batched)
    for batched in (False, True)
    for threads in threads_to_try()
}


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--ways", nargs="+", choices=list(WAYS), help="the rule first, against which others are held")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    places = {"folder_A": Path("A"), "folder_B": Path("B"), "run": Path("run")}
    config = preset_config(options.preset, **places)
    device = choose_device(options.device)
    model = CycleGAN(config, device, options.precision, batched=True)
    height, width = config.crop_size
    real_A, real_B = (torch.rand((2, config.batch_size, 3, height, width)) * 2 - 1).to(device)
    ways = options.ways or list(WAYS)
    spent: dict[str, list[float]] = {way: [] for way in ways}
    for number in range(options.rounds + 1):
        for way in ways:
            threads, model.batched = WAYS[way]
            torch.set_num_threads(threads)
            start = time.perf_counter()
            losses = model.step(real_A, real_B, first_number=0, learning_rate=config.learning_rate, number=number)
            losses["G_AB"].item()  # Wait for the device.
            if number > 0:  # The first round loads libraries.
                spent[way].append(time.perf_counter() - start)
    print(f"{hardware_name(device)}; {options.preset}, {options.precision}, {options.rounds} rounds\n")
    print(f"| | {' | '.join(ways)} |\n|{' --- |' * (len(ways) + 1)}")
    print(f"| seconds | {' | '.join(words(spent[way]) for way in ways)} |")
    ratios = {way: [one / other for one, other in zip(spent[way], spent[ways[0]], strict=True)] for way in ways}
    print(f"| of the first | {' | '.join(words(ratios[way]) for way in ways)} |")
    return 0


def words(values: list[float]) -> str:
    """The median, and the range."""
    return f"{statistics.median(values):.2f} ({min(values):.2f} to {max(values):.2f})"


if __name__ == "__main__":
    sys.exit(main())
