"""What this machine can multiply: the largest rate of a matrix product in fp32 and bf16, in FLOP a second.

    python benchmarks/ceiling.py [--device cpu] [--turns]

Nothing can be faster than that at the same precision, so it is what shares are shares of. The best of several sizes
and, on a processor, of all threads and one fewer. On a GPU fp32 is what torch calls so by default, without TF32 in
matrix products; `tf32` has a rate of its own there. With `--turns` see `turns.py`.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

import torch

from benchmarks.turns import serve

_SECONDS = 1.0


def rates(device: torch.device) -> dict[str, float]:
    """FLOP a second by precision."""
    most = torch.get_num_threads()
    threads = sorted({most, max(1, most - 1)}) if device.type == "cpu" else [most]
    sizes = (1024, 2048, 4096) if device.type == "cpu" else (4096, 8192)
    ways = {"fp32": (torch.float32, False), "bf16": (torch.bfloat16, False)}
    if device.type == "cuda":
        ways["tf32"] = (torch.float32, True)
    best = {}
    for name, (dtype, tf32) in ways.items():
        torch.backends.cuda.matmul.allow_tf32 = tf32
        best[name] = max(_rate(device, dtype, size, count) for size in sizes for count in threads)
    torch.set_num_threads(most)
    return best


def _rate(device: torch.device, dtype: torch.dtype, size: int, threads: int) -> float:
    torch.set_num_threads(threads)
    one, other = torch.randn(2, size, size, device=device).to(dtype)
    out = torch.empty_like(one)
    best = float("inf")
    torch.mm(one, other, out=out)
    begun = time.perf_counter()
    while time.perf_counter() - begun < _SECONDS / 6:
        _wait(device)
        started = time.perf_counter()
        torch.mm(one, other, out=out)
        _wait(device)
        best = min(best, time.perf_counter() - started)
    return 2 * size**3 / best


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)


def main() -> int:
    """Print the rates."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--turns", action="store_true", help="once for each line on standard input")
    options = parser.parse_args()
    device = torch.device(options.device)
    if options.turns:
        serve(lambda: rates(device))
    print(json.dumps(rates(device)))
    return 0


if __name__ == "__main__":
    sys.exit(main())
