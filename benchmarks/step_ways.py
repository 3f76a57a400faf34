"""A training step with one thread fewer than the cores and with all, batches singly and two in one call, in turns.

    python benchmarks/step_ways.py [--preset standard] [--precision bf16] [--device cpu] [--rounds 4]

Prints for each way the median, least and largest seconds, and the ratio of its median to that of the rule.
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


def main() -> int:
    """Print a line a way."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--preset", default="standard")
    parser.add_argument("--precision", choices=("fp32", "bf16", "fp16"), default="bf16")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--rounds", type=int, default=4)
    options = parser.parse_args()
    places = {"folder_A": Path("A"), "folder_B": Path("B"), "run": Path("run")}
    config = preset_config(options.preset, **places)
    device = choose_device(options.device)
    model = CycleGAN(config, device, options.precision, batched=True)
    height, width = config.crop_size
    real_A, real_B = (torch.rand((2, config.batch_size, 3, height, width)) * 2 - 1).to(device)
    ways = [(threads, on) for threads in threads_to_try() for on in (False, True)]
    spent: dict[tuple[int, bool], list[float]] = {way: [] for way in ways}
    for number in range(options.rounds + 1):
        for threads, batched in ways:
            torch.set_num_threads(threads)
            model.batched = batched
            start = time.perf_counter()
            losses = model.step(real_A, real_B, first_number=0, learning_rate=config.learning_rate, number=number)
            losses["G_AB"].item()  # Wait for the device.
            if number > 0:  # The first round loads libraries.
                spent[threads, batched].append(time.perf_counter() - start)
    print(f"{hardware_name(device)}; {options.preset}, {options.precision}, {options.rounds} rounds")
    rule = statistics.median(spent[ways[0]])
    for (threads, batched), seconds in spent.items():
        median = statistics.median(seconds)
        print(
            f"threads {threads}, {'two batches in one call' if batched else 'singly'}: {median:.3f} s "
            f"({min(seconds):.3f} to {max(seconds):.3f}), {median / rule:.2f} of the rule's"
        )
    return 0


if __name__ == "__main__":
    sys.exit(main())
