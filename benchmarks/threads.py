"""What one thread fewer than the cores costs and saves: convolutions like a generator's, in fp32 and bf16.

    python benchmarks/threads.py [--busy]

`--busy` keeps another process at the same work beside it. Each figure is the best of many rounds, two seconds for
each way, all taken in turns. Four 3x3 convolutions of 128 channels on 4 pictures of 16 px, with their gradients; and
the step of the quick preset with transposed and with resize-convolutions.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
from engine import preset_config
from engine.device import autocast
from engine.model.cyclegan import CycleGAN
import torch
from torch import nn
# isort: on

_CPU = torch.device("cpu")
_SECONDS = 2.0


def main() -> int:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", action="store_true", help="keep another process at the same work beside it")
    parser.add_argument("--work-for-ever", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    chain = nn.Sequential(*(nn.Conv2d(128, 128, 3, padding=1) for _ in range(4)))
    if options.work_for_ever:
        torch.set_num_threads(1)
        while True:
            _convolve(chain, 1, "bf16")
    other = subprocess.Popen([sys.executable, __file__, "--work-for-ever"]) if options.busy else None
    try:
        most = torch.get_num_threads()
        ways = [(threads, precision) for threads in (most, max(1, most - 1)) for precision in ("fp32", "bf16")]
        _report({f"convolutions, threads {t}, {p}": lambda t=t, p=p: _convolve(chain, t, p) for t, p in ways})
        torch.set_num_threads(max(1, most - 1))
        _report({f"quick step, {name}": _quick_step(on) for name, on in (("transposed", False), ("resize", True))})
    finally:
        if other is not None:
            other.kill()
    return 0


def _convolve(chain: nn.Module, threads: int, precision: str) -> None:
    torch.set_num_threads(threads)
    with autocast(_CPU, precision):
        result = chain(torch.ones(4, 128, 16, 16))
    result.float().sum().backward()


def _quick_step(resize_conv: bool) -> Callable[[], object]:
    places = {"folder_A": Path("A"), "folder_B": Path("B"), "run": Path("run")}
    model = CycleGAN(preset_config("quick", **places, resize_conv=resize_conv), _CPU, "bf16")
    real_A, real_B = torch.rand(2, 4, 3, 64, 64) * 2 - 1
    return lambda: model.step(real_A, real_B, first_number=0, learning_rate=4e-4, number=0)


def _report(ways: dict[str, Callable[[], object]]) -> None:
    best = dict.fromkeys(ways, float("inf"))
    for act in ways.values():
        act()
    start = time.perf_counter()
    while time.perf_counter() - start < _SECONDS * len(ways):
        for name, act in ways.items():
            begun = time.perf_counter()
            act()
            best[name] = min(best[name], time.perf_counter() - begun)
    for name, seconds in best.items():
        print(f"{name}: {1000 * seconds:.0f} ms")


if __name__ == "__main__":
    sys.exit(main())
