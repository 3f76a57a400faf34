"""Large pictures in strips beside the ordinary way: time, memory, disk and the largest difference.

    python benchmarks/large_pictures.py [--megapixels 1 6 24 100] [--networks quick paper] [--memory-gb 2]
        [--whole-up-to 6] [--precision auto] [--threads 1] [--spill FOLDER] [--plain] [--json]

Each row is a process of its own, whose peak memory is that of its translation alone: what the process holds before the
start (Python, torch, the model, the picture) and the result are taken off, so the number can be held against the
ceiling. "quick" has 3 blocks of 32 channels with resize-convolution and the long skip, "paper" 9 blocks of 64. Their
weights are random and their pictures are gradients with noise: neither time nor memory depends on what is in them.
With `--plain` the paper's network is also that of `benchmarks/plain.py`, in 32 bits, where the whole is taken, too.
Beside the time that passed stands the processor's own, which other programs disturb less. Needs Linux, which tells a
process's peak memory.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

# The engine stands before torch, whose threads it tells how to wait.
# isort: off
import engine  # noqa: F401
from engine.conversion.large_picture import needed_memory, translate_streamed
from engine.conversion.model_file import ModelInfo
from engine.conversion.translator import Translator
from engine.device import all_threads, autocast, choose_precision, compute_threads, hardware_name
from engine.model.architecture import Architecture
from engine.model.generator import init_weights, make_generator
from engine.model.picture_tensors import to_picture, to_tensor
from benchmarks import plain
import numpy as np
import torch
from PIL import Image
# isort: on

NETWORKS = {
    "quick": Architecture(blocks=3, channels=32, long_skip=True, resize_conv=True),
    "paper": Architecture(blocks=9, channels=64),
    "unet": Architecture(generator="unet", halvings=8),
}
CPU = torch.device("cpu")


def main() -> int:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megapixels", type=float, nargs="+", default=[1, 6, 24, 100])
    parser.add_argument("--networks", choices=list(NETWORKS), nargs="+", default=["quick", "paper"])
    parser.add_argument("--memory-gb", type=float, default=2, help="the ceiling")
    parser.add_argument("--whole-up-to", type=float, default=6, help="megapixels translated the ordinary way, too")
    parser.add_argument("--precision", choices=["auto", "fp32", "bf16", "fp16"], default="auto")
    parser.add_argument("--threads", type=int, default=compute_threads())
    parser.add_argument("--spill", type=Path, default=Path(tempfile.gettempdir()))
    parser.add_argument("--plain", action="store_true", help="the plain implementation of the paper's network, too")
    parser.add_argument("--json", action="store_true", help="all rows as one object in the last line")
    parser.add_argument("--one", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    if options.one:
        way, network, megapixels = options.one
        if way in ("usual", "plain"):  # Neither leaves a core to others.
            torch.set_num_threads(all_threads())
        print(json.dumps(translate(way, NETWORKS[network], float(megapixels), options)))
        return 0
    print(f"{hardware_name(CPU)}; {options.threads} threads; ceiling {options.memory_gb:g} GB")
    print("| network | MP | way | precision | s | CPU s/MP | peak GB | on disk GB | most levels off | share off |")
    print("| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |")
    found = []
    for network in options.networks:
        for megapixels in options.megapixels:
            ways = ["streamed"]
            if megapixels <= options.whole_up_to:
                ways += ["whole", "plain"] if options.plain and network == "paper" else ["whole"]
            rows = [in_own_process(way, network, megapixels, options) for way in ways]
            results = [Path(row.pop("result")) for row in rows]
            for row, result in zip(rows, results, strict=True):
                if row["way"] == "whole":  # The plain one has weights of its own.
                    row["levels"], row["share"] = compare(results[0], result)
                found.append({"network": network, "megapixels": megapixels, **row})
                print(line(found[-1]), flush=True)
            for result in results:
                result.unlink()
    if options.json:
        print(json.dumps({"machine": hardware_name(CPU), "threads": options.threads, "rows": found}))
    return 0


def line(row: dict[str, Any]) -> str:
    """A row of the table."""
    figures = [row["seconds"], row["cpu_seconds"] / row["megapixels"], row["peak"] / 1e9, row["disk"] / 1e9]
    cells = [row["network"], f"{row['megapixels']:g}", row["way"], row["precision"]]
    cells += [f"{figure:.2f}" for figure in figures]
    cells += [str(row["levels"]), f"{row['share']:.3%}"] if "levels" in row else ["", ""]
    return f"| {' | '.join(cells)} |"


def in_own_process(way: str, network: str, megapixels: float, options: argparse.Namespace) -> dict[str, Any]:
    """What `translate` measures there."""
    command = [sys.executable, __file__, "--one", way, network, str(megapixels)]
    for name in ("memory_gb", "precision", "threads", "spill"):
        command += [f"--{name.replace('_', '-')}", str(getattr(options, name))]
    done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    row: dict[str, Any] = json.loads(done.stdout)
    return row


def translate(way: str, architecture: Architecture, megapixels: float, options: argparse.Namespace) -> dict[str, Any]:
    """Measure one translation: "whole", "streamed", "usual", as a conversion takes it, or "plain"."""
    precision = "fp32" if way == "plain" else choose_precision(options.precision, CPU, architecture.generator)
    generator = make_generator(architecture, "a2b").eval()
    init_weights(generator, torch.Generator().manual_seed(0), "xavier", 1.0)
    multiple = architecture.multiple
    height, width = (max(1, round((megapixels * 1e6 * ratio) ** 0.5 / multiple)) * multiple for ratio in (2 / 3, 3 / 2))
    memory = int(options.memory_gb * 1e9)

    plain_generator = plain.Generator(architecture.blocks, architecture.channels)
    info = ModelInfo(Path("model"), "A", "B", 256, architecture, "", 0, "")
    usual = Translator(
        generator,
        info,
        direction="a2b",
        device=CPU,
        precision=options.precision,
        resize="keep",
        memory_gb=None,
        spill=options.spill,
    )

    def run(pixels: Any, memory: int) -> Any:
        if way == "plain":
            with torch.no_grad():
                return np.asarray(plain.to_picture(plain_generator(plain.to_tensor(Image.fromarray(pixels)))))
        if way == "usual":
            return usual.translate("a picture", pixels)
        if way == "whole":
            with torch.inference_mode(), autocast(CPU, precision):
                return to_picture(generator(to_tensor(pixels, CPU)))
        return translate_streamed(
            generator,
            pixels,
            device=CPU,
            precision=precision,
            grey=False,
            memory=memory,
            spill=options.spill,
            tick=lambda: None,
        )

    run(made_up_picture(max(64, multiple), max(64, multiple)), 10**9)  # Libraries are loaded and kernels made.
    pixels = made_up_picture(height, width)
    if way == "usual" and megapixels <= 1:
        run(pixels, memory)  # Kernels of this size, too: a batch of small pictures makes them once.
    before = status("VmRSS")
    Path("/proc/self/clear_refs").write_text("5", encoding="ascii")  # Forget the peak so far.
    start, cpu_start = time.perf_counter(), time.process_time()
    result = run(pixels, memory)
    seconds, cpu_seconds = time.perf_counter() - start, time.process_time() - cpu_start
    with tempfile.NamedTemporaryFile(dir=options.spill, suffix=".npy", delete=False) as file:
        peak = status("VmHWM")
        np.save(file, result)
    return {
        "way": way,
        "precision": precision,
        "seconds": seconds,
        "cpu_seconds": cpu_seconds,
        "peak": peak - before - result.nbytes,
        "disk": needed_memory(architecture, width, height, precision).disk(memory) if way == "streamed" else 0,
        "result": file.name,
    }


def made_up_picture(height: int, width: int) -> Any:
    """[H, W, 3] uint8."""
    random = np.random.default_rng(0)
    picture = np.empty((height, width, 3), np.uint8)
    for row in range(height):
        slope = np.linspace(40, 200, width)[:, None] + [0, 20 * np.sin(row / 90), 30 * row / height]
        picture[row] = slope + random.integers(-20, 20, (width, 3))
    return picture


def status(name: str) -> int:
    """A number of this process in bytes, as Linux tells it."""
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith(name))


def compare(first: Path, second: Path) -> tuple[int, float]:
    """The largest difference in levels of 255, and the share of the values that differ."""
    one, other = (np.load(path, mmap_mode="r").astype(np.int16) for path in (first, second))
    difference = np.abs(one - other)
    return int(difference.max()), float((difference > 0).mean())


if __name__ == "__main__":
    sys.exit(main())
